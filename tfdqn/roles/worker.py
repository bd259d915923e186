"""A worker: it computes gradients, asynchronously at the learner's word, or in step with it."""

from collections.abc import Callable

from tfdqn.coordination.membership import Membership
from tfdqn.roles.blocking_service import serve
from tfdqn.roles.context import Job
from tfdqn.system.peer_connections import look_after


def run(job: Job) -> bool:
    """Takes part until the job is over, and ends the process; False where the user stops it before that begins."""
    cluster = job.topology.sub_cluster(job.config, job.process_id)
    assert cluster is not None

    def asynchronous() -> Callable[[Membership], None]:
        import reverb  # noqa: F401  (that it does so later would take seconds then)

        from tfdqn.roles import tf_server

        def service(membership: Membership) -> None:
            membership.set_state("serving")
            look_after(job.topology.replay_server, tensorflow=job.topology.parameter_server)
            tf_server.run(cluster, job.config.learner.min_gpus)

        return service

    def in_step() -> Callable[[Membership], None]:
        from tfdqn.roles import lockstep_worker

        def service(membership: Membership) -> None:
            membership.rendezvous()
            lockstep_worker.run(job.config, cluster, on_met=lambda: membership.set_state("serving"))

        return service

    return serve(job, asynchronous if job.config.learner.strategy == "parameter_server" else in_step)
