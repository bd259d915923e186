"""Tuning: many runs as one, each a normal run in a directory of its own.

In: a configuration, and in what its runs differ. Out: the runs, and what they come to together. It imports what is
light: each run is a `tfdqn train` in a process of its own (`child_runs`), or a thread of this one (`thread_runs`). Its
figures are read from its directory (`observed_run`).

The next thing that takes many runs is one file here, and a verb in `cli`: it gives `child_runs.ChildRuns` one
`ChildRun` after the other, and is told of each that has ended.
"""
