"""Tracking: logs a run's metrics while it is trained.

Training's monitor and a job's evaluator give a `Tracker` scalars, evaluations, histograms, texts, videos and, at the
end, the summary of the run. It writes them to the run's own files (JSON lines, `tensorboard`) and to other systems
(`wandb`, `mlflow`). `factory.make_trackers` makes the trackers that the configuration asks for and combines them into
one. Imports config, system and storage, never what is tracked.

A tracker that isn't the run's own is made and called in a thread of its own (`BackgroundTracker`): one that raises,
hangs or falls behind is dropped, and training goes on. That of another system also has its own process
(`tracker_process`), so that the system's package can't disturb training, and is given only what that system doesn't
have yet (`external_run`).

To add a file of the run's own, write a subclass of `tracker.Tracker` with the methods that it needs, and add a line to
`factory.make_trackers`. To add a system,

1. write a subclass of `external_run.ExternalRun`, in a file that imports the system's package in the constructor;
2. add a line to `systems.SYSTEMS`, and keys to `config.Tracking`; the key with the package's name turns it on;
3. add an extra to `setup.cfg`, and a test against the package itself, marked `tracking`.

From outside the package, `factory.register_tracker` takes a function that makes a tracker from a configuration, a run
directory and the kind of process, or returns None. In a job, call it in the module before the colon of the task's id,
which every process imports.
"""
