"""Tracking: where a run's figures go while it lasts.

Training's monitor and a job's evaluator tell a `Tracker` of scalars, evaluations, histograms, texts and films; it takes
them to the run's own files (`json_lines`, `tensorboard`) and to other systems. `factory.make_trackers` makes those that
the configuration asks for, as one. It imports config, system and storage, never what is tracked.

The next tracker is one file here, and a line in `factory.TRACKERS`:

1. A subclass of `tracker.Tracker`, with the methods that it has a use for.
2. A function of configuration, run directory and process that makes one, or None where none is asked for.

Outside the package `factory.register_tracker` does the same; for a job's processes, in the module before the colon of
the task's id, which each of them imports.

It is made and called in a thread of its own. One that raises, hangs or falls behind is dropped, and training goes on.
"""
