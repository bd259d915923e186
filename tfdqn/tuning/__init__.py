"""Tuning: trains many runs together: several seeds of a configuration, or the trials of a search.

In: a configuration, and the keys in which its runs differ. Out: the runs, each in a directory of its own, and their
joint results. Imports no TensorFlow: each run is a `tfdqn train` in a process of its own (`child_runs`), or a thread of
a process that trains several (`run_groups`; in that process, `thread_runs`). The progress of a run is read from its
directory (`observed_run`).

To add another use of many runs, write one file here and a verb in `cli`: give `child_runs.ChildRuns` a `ChildRun` for
each run, and it calls back when one has ended.
"""
