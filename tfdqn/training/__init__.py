"""Training: one run, from its configuration to its summary.

In: a configuration and a run directory that is claimed. Out: checkpoints, curves, the best policy, `summary.json`.

- `train`: a whole run in one process (and in those that divide its updates); a job's learner, `roles.learner`, does the
  same with the same parts.
- `session`: what is learned, saved and resumed. `local_parts` and `remote_parts` build one: its actors, replay and
  evaluator are in this process, or in others.
- `together`: the same for several runs in one process, a thread each.
- `loops`: the ways to run a session. `monitor`: what happens at intervals beside one. `stopping`: when it ends.
  `finish`: from the first step to the results. `prerequisites`: what is refused before a run begins.

It may import all but `serving`, `roles`, `launch`, `tuning` and `cli`. A new loop is a function in `loops`, from a
session and a monitor to the reason why it ended; a value of `learner.schedule`; and a line in `train._train`.
"""
