"""Jobs of many processes, run and looked at: the supervisor, this host's GPUs, what a job reports, manifests.

In: a configuration and a run's directory. Out: processes that are started, watched, started again and ended in order,
or (`manifests`) the files by which a platform does so. It uses `cluster` and `coordination`, and none of TensorFlow:
what is started imports that itself.

Another way to start a job: its topology by `cluster.program`, then `Supervisor`. Another platform: see `manifests`.
"""
