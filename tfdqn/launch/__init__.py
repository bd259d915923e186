"""Launching: starts and supervises a job's processes, shares out GPUs, inspects jobs, writes manifests.

In: a configuration and a run's directory. Out: processes that are started, watched, restarted and ended in order, or
(`manifests`) the files by which a platform does so. It uses `cluster` and `coordination`, and never imports TensorFlow,
which the processes that it starts import themselves.

To add another way to start a job: make its topology by `cluster.program`, then use `Supervisor`. To add a platform: see
`manifests`.
"""
