"""The worker: computes gradients, asynchronously as the learner asks for them, or in lockstep with it."""

from collections.abc import Callable

from tfdqn.cluster.tf_config import Cluster
from tfdqn.coordination.membership import Membership
from tfdqn.roles.blocking_service import serve
from tfdqn.roles.context import RoleContext
from tfdqn.system.peer_connections import guard_connections


def run(context: RoleContext, membership: Membership) -> bool:
    """Works until the job is over, and ends the process; False if the user stops it before it joins the learner."""
    cluster = context.topology.sub_cluster(context.config, context.process_id)
    assert cluster is not None
    is_asynchronous = context.config.learner.strategy == "parameter_server"
    make_service = _asynchronous if is_asynchronous else _lockstep
    return serve(context, membership, make_service(context, membership, cluster))


def _asynchronous(context: RoleContext, membership: Membership, cluster: Cluster) -> Callable[[], None]:
    import reverb  # noqa: F401  (here, since it takes seconds, in which calls would have to wait)

    from tfdqn.roles.parameter_server import serve_device

    def service() -> None:
        membership.set_state("working")
        guard_connections(context.topology.replay_server, tensorflow=context.topology.parameter_server)
        serve_device(cluster, context.config.learner)

    return service


def _lockstep(context: RoleContext, membership: Membership, cluster: Cluster) -> Callable[[], None]:
    from tfdqn.roles import lockstep_worker  # it imports TF-Agents, which an asynchronous worker doesn't need

    def service() -> None:
        membership.rendezvous()
        lockstep_worker.run(context.config, cluster, on_met=lambda: membership.set_state("working"))

    return service
