"""The evaluator: greedy episodes with the newest weights; it owns 'best', and has the last say."""

from tfdqn.coordination.membership import Membership
from tfdqn.roles.context import RoleContext
from tfdqn.roles.evaluator_loop import evaluate
from tfdqn.storage.atomic_files import require_writable
from tfdqn.storage.run_directory import RunDir


def run(context: RoleContext, membership: Membership) -> bool:
    """Evaluates until the job is over, or False: until the user has asked to stop.

    Raises UserError for what a user can mend, PeerLostError where it must be started again.
    """
    require_writable(RunDir(context.run_dir).path)
    evaluate(context, membership)
    return membership.is_over
