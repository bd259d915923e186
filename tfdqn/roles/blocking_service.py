"""What a worker and a parameter server have in common: they serve in calls below Python that never return.

A thread watches instead, and ends the process: with 0 when the job is over, with the status for a stop when the user
has asked for one, and with the status for a restart where the learner has started again.
"""

import os
import sys
import threading
import time
from collections.abc import Callable

from tfdqn.cluster.tf_errors import in_one_line
from tfdqn.coordination.membership import Membership
from tfdqn.coordination.messages import Phase
from tfdqn.errors import RESTART_STATUS, first_line
from tfdqn.roles.context import RoleContext

_WATCH_SECONDS = 0.25
_END_SECONDS = 5.0
_LEARNER_SAVES_SECONDS = 8.0


def serve(context: RoleContext, membership: Membership, service: Callable[[], None]) -> bool:
    """Joins the learner, then runs a service until the job is over, and ends the process.

    A service that returns leaves the process waiting for what the learner says. Returns False if the user has asked
    to stop before the learner was there.
    """
    if membership.join(context.interrupted) is None:
        return False
    context.say(f"{context.process_id}: joined")
    threading.Thread(target=_watch, args=(context, membership), name="watch", daemon=True).start()
    try:
        service()
    except Exception as error:
        # Others end abruptly, too: let the learner say why, where it does.
        print(f"tfdqn: {_in_one_line(context, error)}", file=sys.stderr, flush=True)
        _end(membership, RESTART_STATUS)
    membership.set_state("done")
    return threading.Event().wait()  # no limit: the thread ends the process


def _in_one_line(context: RoleContext, error: Exception) -> str:
    cluster = context.topology.sub_cluster(context.config, context.process_id)
    is_of_tensorflow = type(error).__module__.startswith("tensorflow.")  # asked without importing it
    said = in_one_line(error, cluster, str(context.process_id)) if cluster is not None and is_of_tensorflow else None
    return said or f"{context.process_id}: {first_line(error)}"


def _watch(context: RoleContext, membership: Membership) -> None:
    is_over = False
    try:
        while not is_over and not context.interrupted():
            time.sleep(_WATCH_SECONDS)
            is_over = membership.phase() == Phase.OVER
        if not is_over:  # where all are asked to end at once, the learner saves with this process's help
            membership.wait_while_heard(_LEARNER_SAVES_SECONDS)
    except Exception as why:  # of any kind: nothing else would end the process
        print(f"tfdqn: {why}", file=sys.stderr, flush=True)
        _end(membership, RESTART_STATUS)
    _end(membership, 0 if membership.is_over else context.stopped_status)


def _end(membership: Membership, status: int) -> None:
    closing = threading.Thread(target=membership.close, daemon=True)
    closing.start()
    closing.join(_END_SECONDS)
    os._exit(status)
