"""Tracking: where a run's figures go while it lasts.

Training's monitor and a job's evaluator tell a `Tracker` of scalars, evaluations, histograms, texts, films and, at the
end, of what the run came to; it takes them to the run's own files (`json_lines`, `tensorboard`) and to other systems
(`wandb`, `mlflow`). `factory.make_trackers` makes those that the configuration asks for, as one. It imports config,
system and storage, never what is tracked.

A tracker from outside the package is made and called in a thread of its own (`background`): one that raises, hangs or
falls behind is dropped, and training goes on. A system's is in a process of its own besides (`tracker_process`), where
its package can do what it likes, and is told what that run has not had yet (`external_run`).

The next file of the run's own is a subclass of `tracker.Tracker`, with the methods that it has a use for, and a line in
`factory.make_trackers`. The next system is

1. a subclass of `external_run.ExternalRun` in a file that imports the system's package when one is made;
2. a line in `systems.SYSTEMS`, and keys in `config/tracking.py`, of which one that has the package's name turns it on;
3. an extra in `setup.cfg`, and a test against the package itself, marked `tracking`.

Outside the package `factory.register_tracker` takes a function of configuration, run directory and process that makes a
tracker, or gives None if none is asked for; for a job's processes, in the module before the colon of the task's id,
which each of them imports.
"""
