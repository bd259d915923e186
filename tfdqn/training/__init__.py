"""Training: one run, from its configuration to its summary.

In: a configuration and a run directory that is claimed. Out: checkpoints, curves, the best policy, `summary.json`.

- `train`: a whole run in one process, plus those that share its updates; a job's learner, `roles.learner`, does the
  same with the same parts.
- `session`: what is learned, saved and resumed; `start_session` shows the order of a start. It knows its parts by
  `interfaces`: `local_parts` are actors, replay and evaluator in this process, `remote_parts` those in others.
- `together`: several runs in one process, a thread each.
- `loops`: the ways to run a session, until `storage.completion` says that it is over. `monitor`: periodic work during
  one. `finish`: from the first step to the results. `prerequisites`: what is refused before a run begins.

May import everything but `serving`, `roles`, `launch`, `tuning` and `cli`. To add a loop, write a function in `loops`
that takes a session and a monitor and returns why it ended; add a value of `learner.schedule`, and a line in
`train._train`.
"""
