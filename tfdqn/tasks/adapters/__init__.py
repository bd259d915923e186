"""Adapters: between what an environment has and what a network learns from, one file for each adaptation.

In flow a task's spaces, and its observations, rewards, lives, masks and failures at every step; out flow the parts of a
`TaskSpec`, and arrays as it says. An adapter imports the folders below `tasks`, and of `tasks` only `contract` and
`observations`; the suites and `BatchedTask` call it.

To add one (frames that are scaled or skipped, say):
1. A file here: a function from a space to its part of the `TaskSpec`, and what the adaptation does at a step: as a
   `gymnasium.Wrapper` of one environment or, where many rows can be done at once, on the arrays of a batch.
2. Its keys in `config/task.py`; what it changes of a task's shapes in `task_spec.py`.
3. Where it is called: wrappers in `suites/gymnasium_envs.py`, batches in `batched_task.py`. One that a task's own
   vector version can't have is a reason in `why_not_own`.
4. Its state, if it has one that decides what comes, in `state_capture.py`.

Another kind of actions is a case in `actions.action_spec`: what the environment's own is for each, and back, is data in
`task_spec.ActionSpec`, by which `actions.to_environment` turns a batch, and exports and `load_policy` theirs.
"""
