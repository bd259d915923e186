"""A parameter server: it holds a shard of weights, targets and moments, and applies gradients to it."""

from collections.abc import Callable
from functools import partial

from tfdqn.roles.job import Job
from tfdqn.roles.service import serve


def run(job: Job) -> None:
    """Serves until the job is over; ends the process."""
    cluster = job.topology.sub_cluster(job.config, job.member)
    assert cluster is not None

    def load() -> Callable[[], None]:
        from tfdqn.roles import task_server

        return partial(task_server.run, cluster)

    serve(job, load)
