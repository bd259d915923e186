"""A parameter server: it holds a shard of weights, targets and moments, and applies gradients to it."""

from collections.abc import Callable

from tfdqn.coordination.membership import Membership
from tfdqn.roles.blocking_service import serve
from tfdqn.roles.context import Job


def run(job: Job) -> bool:
    """Serves until the job is over, and ends the process; False where the user stops it before that begins."""
    cluster = job.topology.sub_cluster(job.config, job.process_id)
    assert cluster is not None

    def load() -> Callable[[Membership], None]:
        from tfdqn.roles import tf_server

        def service(membership: Membership) -> None:
            membership.set_state("serving")
            tf_server.run(cluster, job.config.learner.min_gpus)

        return service

    return serve(job, load)
