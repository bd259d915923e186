"""Where a process begins its part: heartbeats first, then what is heavy, of which each role needs its own alone."""

import signal
from collections.abc import Callable
from contextlib import closing
from importlib import import_module

from tfdqn.cluster.roles import LEARNER
from tfdqn.cluster.tf_config import CHIEF, WORKER, Cluster
from tfdqn.cluster.tf_errors import in_one_line
from tfdqn.config import Config
from tfdqn.coordination.membership import Membership
from tfdqn.coordination.peers import Peers
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.errors import ClusterError
from tfdqn.roles.context import RoleContext, log_own_failures, say_if_open
from tfdqn.system.addresses import require_free


def run_role(context: RoleContext) -> bool:
    """A role's part in a job. Returns, or ends the process, when it has done: whether the job is over, or False: it
    was told to stop before.
    """
    say_if_open(context)
    if context.process_id == LEARNER:
        require_free(context.topology.learner)  # its own server would say so only after TensorFlow's import
        from tfdqn.roles import learner

        return learner.run(context)
    member = Membership(context.process_id, context.topology, context.config, context.say)
    with closing(member) as membership, log_own_failures():
        # TensorFlow and Reverb take seconds, in which the process gives heartbeats already.
        role = import_module(f"tfdqn.roles.{context.process_id.role}")
        return bool(role.run(context, membership))


def serve_chief(config: Config, cluster: Cluster, say: Callable[[str], None]) -> None:
    """What the cluster's process does that is not the chief. Returns, or ends, when the chief has done.

    It has nothing to save: a signal ends it at once, and so does the chief's silence beyond `health.patience_seconds`.

    Args:
      say: shows one line to the user.

    Raises ClusterError if it can't serve, or loses the others.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as SIGTERM
    import tensorflow as tf

    try:
        with log_own_failures(), Watchdog(cluster.name, config.health, say) as watchdog:
            watchdog.state = "at the chief's service"
            watchdog.require(_chief(cluster, config), "the chief answers")
            if config.learner.strategy == "parameter_server":
                from tfdqn.roles.parameter_server import serve_device

                serve_device(cluster, config.learner)
            else:
                from tfdqn.roles import lockstep_worker

                lockstep_worker.run(config, cluster)
    except tf.errors.OpError as error:
        if (line := in_one_line(error, cluster, cluster.name)) is None:
            raise
        raise ClusterError(line) from error


def _chief(cluster: Cluster, config: Config) -> Peers:
    """Where the chief has ended, workers that learn in step and wait for it get an error instead."""

    def abort(_: str) -> None:
        if config.learner.strategy != "parameter_server":
            from tfdqn.learning.strategies.factory import abort_collectives

            job = CHIEF if cluster.addresses(CHIEF) else WORKER
            abort_collectives(f"Task /job:{job}/task:0 nobody is at its address any more")

    return Peers({"the chief": cluster.chief_address}, on_end=abort)
