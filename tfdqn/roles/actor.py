"""An actor: environments of its own, weights from the learner, transitions to the replay servers."""

from contextlib import closing

from tfdqn.coordination.membership import Membership
from tfdqn.roles.context import Job


def run(job: Job) -> bool:
    """Acts until the job is over, or False: until the user has asked to stop.

    Raises UserError for what a user can mend, PeerLostError where it must be started again.
    """
    with closing(Membership(job.process_id, job.topology, job.config, job.say)) as membership:
        from tfdqn.roles.actor_loop import (
            act,  # TensorFlow and Reverb: the heart beats while they are imported
        )

        act(job, membership)
        return membership.is_over
