"""Roles: one file is one process's part in a run."""

from tfdqn.cluster import Cluster
from tfdqn.config import Config


def run(config: Config, cluster: Cluster) -> None:
    """What the cluster's process does that is not the chief. Returns, or ends, when the chief has done."""
    from tfdqn.roles import follower, task_server  # each needs its own part of TensorFlow alone

    if config.learner.strategy == "parameter_server":
        task_server.run(cluster)
    else:
        follower.run(config, cluster)
