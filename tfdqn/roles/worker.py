"""A worker: it computes gradients, asynchronously at the learner's word, or in step with it."""

from tfdqn.membership import Membership
from tfdqn.roles.job import Job
from tfdqn.roles.service import serve


def run(job: Job) -> None:
    """Takes part until the job is over; ends the process."""
    cluster = job.topology.sub_cluster(job.config, job.member)
    assert cluster is not None

    def service(membership: Membership) -> None:
        if job.config.learner.strategy == "parameter_server":
            from tfdqn.roles import task_server

            task_server.run(cluster)
        else:
            from tfdqn.roles import follower

            follower.run(job.config, cluster)

    serve(job, service)
