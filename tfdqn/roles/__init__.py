"""Roles: one file is one process's part in a run."""

import signal
from importlib import import_module

from tfdqn.cluster import Cluster
from tfdqn.cluster_errors import in_one_line
from tfdqn.config import Config
from tfdqn.errors import ClusterError
from tfdqn.roles.job import Job, say_if_open
from tfdqn.rpc import require_free
from tfdqn.topology import LEARNER


def play(job: Job) -> bool:
    """A role's part in a job. Returns, or ends the process, when it has done: whether the job is over, or False: it
    was told to stop before.
    """
    say_if_open(job)
    if job.member == LEARNER:
        require_free(job.topology.learner)  # its own server says so too, but when TensorFlow has been loaded
    # Each needs its own part of TensorFlow alone.
    is_over: bool = import_module(f"tfdqn.roles.{job.member.role}").run(job)
    return is_over


def run(config: Config, cluster: Cluster) -> None:
    """What the cluster's process does that is not the chief. Returns, or ends, when the chief has done.

    Raises ClusterError where it can't serve, or loses the others.
    """
    import tensorflow as tf

    from tfdqn.roles import follower, task_server  # each needs its own part of TensorFlow alone

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # it waits below Python, where no handler would run
    try:
        if config.learner.strategy == "parameter_server":
            task_server.run(cluster, config.learner.min_gpus)
        else:
            follower.run(config, cluster)
    except tf.errors.OpError as error:
        if (line := in_one_line(error, cluster, cluster.name)) is None:
            raise
        raise ClusterError(line) from error
