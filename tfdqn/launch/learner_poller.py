"""`LearnerPoller`: asks a job's learner once a second how the job stands, in a thread of its own."""

import threading
import time

from tfdqn.coordination.messages import Inspection, Nothing
from tfdqn.coordination.rpc import Caller, RefusedError, UnreachableError

_INTERVAL_SECONDS = 1.0
_REPLY_SECONDS = 2.0


class LearnerPoller:
    """The newest answer, until it is closed.

    Args:
      address: of the learner, which may come and go.
    """

    def __init__(self, address: str):
        self.newest: Inspection | None = None
        self.heard_seconds = float("-inf")  # when the newest was asked for, as `time.monotonic` counts
        self._caller = Caller(address)
        self._closed = threading.Event()
        threading.Thread(target=self._ask_until_closed, name="learner watch", daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        self._caller.close()

    def _ask_until_closed(self) -> None:
        while not self._closed.wait(_INTERVAL_SECONDS):
            asked = time.monotonic()
            try:
                self.newest = self._caller("inspect", Nothing(), Inspection, _REPLY_SECONDS)
                self.heard_seconds = asked
            except (UnreachableError, RefusedError):
                continue
