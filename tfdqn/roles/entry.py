"""`run_role`: starts a process's heartbeat, then imports and runs its role; `serve_chief`: a cluster's other processes.

The heartbeat comes first since TensorFlow's import takes seconds. Each process imports its own role's module only.
"""

import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from importlib import import_module

from tfdqn.cluster.roles import LEARNER
from tfdqn.cluster.tf_config import CHIEF, WORKER, Cluster
from tfdqn.cluster.tf_errors import in_one_line
from tfdqn.config import Config
from tfdqn.coordination.heartbeat_files import STARTING, HeartbeatFile, heartbeat_file, repeated_heartbeat
from tfdqn.coordination.membership import Membership
from tfdqn.coordination.peers import Peers
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.errors import ClusterError
from tfdqn.roles.context import RoleContext, log_own_failures, say_if_open
from tfdqn.system.addresses import require_free


def run_role(context: RoleContext, begun: Callable[[], None] = lambda: None) -> bool:
    """Runs the role of this process to its end; returns whether the job is over: not if it was told to stop before.

    `begun` is called when the role's module is imported: from then on the role asks `context.interrupted`.

    Raises UserError for a mistake that the user can correct, PeerLostError or ProcessFailedError if it must be started
    again.
    """
    say_if_open(context)
    if context.process_id == LEARNER:
        require_free(context.topology.learner)  # before TensorFlow's import, which takes seconds
        return _run_learner(context, begun)
    with (
        closing(Membership(context.process_id, context.topology, context.config, context.say)) as membership,
        log_own_failures(),
    ):
        role = import_module(f"tfdqn.roles.{context.process_id.role}")
        begun()
        return bool(role.run(context, membership))


def _run_learner(context: RoleContext, begun: Callable[[], None]) -> bool:
    """As `run_role`, for the learner, which gives its own heartbeats from the moment on at which it can be reached."""
    # If it can't be written, the learner will say so.
    file = HeartbeatFile(heartbeat_file(context.process_id), str(context.process_id), lambda line: None)
    with ExitStack() as starting:
        starting.enter_context(repeated_heartbeat(file, STARTING))
        learner = import_module("tfdqn.roles.learner")
        begun()
        is_over = bool(learner.run(context, starting.close))
    return is_over


def serve_chief(config: Config, cluster: Cluster, say: Callable[[str], None]) -> None:
    """Serves the chief of a `tf.distribute` cluster; returns, or ends the process, when the chief has finished.

    The process has nothing to save. A signal ends it at once, as does the chief's silence for longer than
    `health.patience_seconds`. Raises ClusterError if it can't serve or loses the others.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends the process at once, as SIGTERM does
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
    """The chief as a peer to watch; at its end, a lockstep worker that waits for it in a collective gets an error."""

    def abort(_: str) -> None:
        if config.learner.strategy != "parameter_server":
            from tfdqn.learning.strategies.distribution import abort_collectives

            abort_collectives(CHIEF if cluster.addresses(CHIEF) else WORKER, 0)

    return Peers({"the chief": cluster.chief_address}, on_end=abort)
