"""A parameter server: it holds a shard of weights, targets and moments, and applies gradients to it."""

from collections.abc import Callable

from tfdqn.membership import Membership
from tfdqn.roles.job import Job
from tfdqn.roles.service import serve


def run(job: Job) -> bool:
    """Serves until the job is over, and ends the process; False where the user stops it before that begins."""
    cluster = job.topology.sub_cluster(job.config, job.member)
    assert cluster is not None

    def load() -> Callable[[Membership], None]:
        from tfdqn.roles import task_server

        def service(membership: Membership) -> None:
            membership.is_doing("serving")
            task_server.run(cluster, job.config.learner.min_gpus)

        return service

    return serve(job, load)
