"""Roles: one file is one process's part in a run."""

import signal
from collections.abc import Callable
from importlib import import_module

from tfdqn.cluster.roles import LEARNER
from tfdqn.cluster.tf_config import CHIEF, WORKER, Cluster
from tfdqn.cluster.tf_errors import in_one_line
from tfdqn.config import Config
from tfdqn.coordination.peers import Peers
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.errors import ClusterError
from tfdqn.roles.context import Job, say_if_open
from tfdqn.system.addresses import require_free


def play(job: Job) -> bool:
    """A role's part in a job. Returns, or ends the process, when it has done: whether the job is over, or False: it
    was told to stop before.
    """
    say_if_open(job)
    if job.process_id == LEARNER:
        require_free(job.topology.learner)  # its own server says so too, but when TensorFlow has been loaded
    # Each needs its own part of TensorFlow alone.
    is_over: bool = import_module(f"tfdqn.roles.{job.process_id.role}").run(job)
    return is_over


def run(config: Config, cluster: Cluster, say: Callable[[str], None]) -> None:
    """What the cluster's process does that is not the chief. Returns, or ends, when the chief has done.

    It has nothing to save: a signal ends it at once, and so does the chief's silence beyond `health.patience_seconds`.

    Args:
      say: shows one line to the user.

    Raises ClusterError where it can't serve, or loses the others.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as SIGTERM
    import tensorflow as tf

    from tfdqn.roles import lockstep_worker, tf_server  # each needs its own part of TensorFlow alone

    try:
        with Watchdog(cluster.name, config.health, say) as watchdog:
            watchdog.state = "at the chief's service"
            watchdog.require(_chief(cluster, config), "the chief answers")
            if config.learner.strategy == "parameter_server":
                tf_server.run(cluster, config.learner.min_gpus)
            else:
                lockstep_worker.run(config, cluster)
    except tf.errors.OpError as error:
        if (line := in_one_line(error, cluster, cluster.name)) is None:
            raise
        raise ClusterError(line) from error


def _chief(cluster: Cluster, config: Config) -> Peers:
    """Where the chief has ended, and who learns in step waits for it, that waiting ends by an error."""

    def abort(_: str) -> None:
        if config.learner.strategy != "parameter_server":
            from tfdqn.learning.strategies.factory import abort_collectives

            job = CHIEF if cluster.addresses(CHIEF) else WORKER
            abort_collectives(f"Task /job:{job}/task:0 nobody is at its address any more")

    return Peers({"the chief": cluster.chief_address}, on_end=abort)
