"""A worker: it computes gradients, asynchronously at the learner's word, or in step with it."""

from collections.abc import Callable

from tfdqn.cluster.tf_config import Cluster
from tfdqn.coordination.membership import Membership
from tfdqn.roles.blocking_service import serve
from tfdqn.roles.context import RoleContext
from tfdqn.system.peer_connections import guard_connections


def run(context: RoleContext, membership: Membership) -> bool:
    """Takes part until the job is over, and ends the process; False if the user stops it before that begins."""
    cluster = context.topology.sub_cluster(context.config, context.process_id)
    assert cluster is not None
    is_asynchronous = context.config.learner.strategy == "parameter_server"
    make_service = _asynchronous if is_asynchronous else _lockstep
    return serve(context, membership, make_service(context, membership, cluster))


def _asynchronous(context: RoleContext, membership: Membership, cluster: Cluster) -> Callable[[], None]:
    import reverb  # noqa: F401  (while it serves, the import would hold calls up for seconds)

    from tfdqn.roles.parameter_server import serve_device

    def service() -> None:
        membership.set_state("serving")
        guard_connections(context.topology.replay_server, tensorflow=context.topology.parameter_server)
        serve_device(cluster, context.config.learner)

    return service


def _lockstep(context: RoleContext, membership: Membership, cluster: Cluster) -> Callable[[], None]:
    from tfdqn.roles import lockstep_worker  # with TF-Agents, which an asynchronous worker does without

    def service() -> None:
        membership.rendezvous()
        lockstep_worker.run(context.config, cluster, on_met=lambda: membership.set_state("serving"))

    return service
