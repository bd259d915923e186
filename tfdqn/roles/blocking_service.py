"""`serve`: runs a service that is a call into C++ which never returns, as a worker's and a parameter server's are.

A thread watches the job meanwhile, and ends the process by itself: with status 0 when the job is over, with
`stopped_status` when the user has asked to stop, and with the status for a restart when the learner has restarted.
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
from tfdqn.system.concurrent_calls import run_at_once

_WATCH_SECONDS = 0.25
_END_SECONDS = 5.0
_LEARNER_SAVES_SECONDS = 8.0


def serve(context: RoleContext, membership: Membership, service: Callable[[], None]) -> bool:
    """Joins the learner, runs the service until the job is over, and ends the process.

    If the service returns, the process waits for the job's end. Returns only if the user has asked to stop before the
    learner was reached, and then False.
    """
    if membership.join(context.interrupted) is None:
        return False
    context.say(f"{context.process_id}: joined")
    threading.Thread(target=_watch, args=(context, membership), name="watch", daemon=True).start()
    try:
        service()
    except Exception as error:
        # Often because another process was lost; the learner reports that one, and this one is just started again.
        print(f"tfdqn: {_in_one_line(context, error)}", file=sys.stderr, flush=True)
        _end(membership, RESTART_STATUS)
    membership.set_state("done")
    return threading.Event().wait()  # needs no timeout: the thread ends the process


def _in_one_line(context: RoleContext, error: Exception) -> str:
    """A service's error in one line, which names the lost process if TensorFlow's error tells it."""
    cluster = context.topology.sub_cluster(context.config, context.process_id)
    is_of_tensorflow = type(error).__module__.startswith("tensorflow.")  # known without importing it
    said = in_one_line(error, cluster, str(context.process_id)) if cluster is not None and is_of_tensorflow else None
    return said or f"{context.process_id}: {first_line(error)}"


def _watch(context: RoleContext, membership: Membership) -> None:
    """Waits until the job is over or the user has asked to stop, and ends the process."""
    is_over = False
    try:
        while not is_over and not context.interrupted():
            time.sleep(_WATCH_SECONDS)
            is_over = membership.phase() == Phase.OVER
        if not is_over:  # if all were asked to end at once, the learner needs this process to save
            membership.wait_while_heard(_LEARNER_SAVES_SECONDS)
    except Exception as error:  # any, since nothing but this thread ends the process
        print(f"tfdqn: {error}", file=sys.stderr, flush=True)
        _end(membership, RESTART_STATUS)
    _end(membership, 0 if membership.is_over else context.stopped_status)


def _end(membership: Membership, status: int) -> None:
    """Ends the process with `status`, after at most five seconds to tell the learner."""
    run_at_once([membership.close], _END_SECONDS)
    os._exit(status)
