"""Tuning: many runs as one, each a normal run in a directory of its own.

In: a configuration, and the keys in which its runs differ. Out: the runs, and their joint results. It imports no
TensorFlow: each run is a `tfdqn train` in a process of its own (`child_runs`), or a thread of a process that trains
several (`run_groups`; inside it `train_group` and `thread_runs`). Its figures are read from its directory
(`observed_run`).

To add another use of many runs, write one file here and a verb in `cli`. It gives `child_runs.ChildRuns` one `ChildRun`
after the other, and is told when each has ended.
"""
