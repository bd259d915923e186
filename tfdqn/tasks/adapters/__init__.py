"""Adapters: turn what an environment gives into what a network learns from, one file for each adaptation.

In: a task's spaces, and its observations, rewards, lives and masks at every step. Out: the parts of a
`TaskSpec`, and arrays as it says. The suites and `BatchedTask` call the adapters. An adapter imports the storeys below
`tasks`, and of `tasks` only `contract` and `observations`.

To add one (frames that are scaled or skipped, say):
1. A file here: a function from a space to its part of the `TaskSpec`, and the adaptation of a step, as a
   `gymnasium.Wrapper` of one environment or, where whole batches can be adapted at once, on a batch's arrays.
2. Its keys in `config/task.py`; what it changes in a task's shapes in `task_spec.py`.
3. Its call: a wrapper's in `suites/gymnasium_envs.py`, a batch's in `batched_task.py`. If a task's own vectorised
   version can't have it, a reason in `why_not_own`.
4. If it has a state that determines coming steps, that state in `state_capture.py`.

To add a kind of action space: a case in `actions.action_spec`. It describes the environment's own actions as data, a
`task_spec.ActionSpec`, by which `actions.to_environment`, exports and `load_policy` convert them.
"""
