"""A worker: it computes gradients, asynchronously at the learner's word, or in step with it."""

from collections.abc import Callable
from functools import partial

from tfdqn.lines import look_after
from tfdqn.roles.job import Job
from tfdqn.roles.service import serve


def run(job: Job) -> None:
    """Takes part until the job is over; ends the process."""
    cluster = job.topology.sub_cluster(job.config, job.member)
    assert cluster is not None

    def load() -> Callable[[], None]:
        if job.config.learner.strategy == "parameter_server":
            import reverb  # noqa: F401  (that it does so later would take seconds then)

            from tfdqn.roles import task_server

            look_after([*job.topology.replay_server, *job.topology.parameter_server])
            return partial(task_server.run, cluster)
        from tfdqn.roles import follower

        return partial(follower.run, job.config, cluster)

    serve(job, load)
