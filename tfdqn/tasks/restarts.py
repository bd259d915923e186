"""`Restarts`: how often a process's environments may be made anew after they have failed, and how often they were."""

import logging
import threading
from collections.abc import Callable

from tfdqn.errors import EnvironmentFailedError

log = logging.getLogger(__name__)


class Restarts:
    """Shared by all tasks of a process, whose threads may fail at the same time.

    Args:
      most: `task.restarts`.
      say: shows one line to the user.
      keep: takes a failure's traceback.
    """

    def __init__(
        self,
        most: int = 0,
        say: Callable[[str], None] = log.warning,
        keep: Callable[[str], None] = lambda traceback: None,
    ):
        self.count = 0
        self._most, self._say, self._keep = most, say, keep
        self._lock = threading.Lock()

    def use(self, failure: EnvironmentFailedError) -> None:
        """Counts one more, and says so; raises the failure where there are none left."""
        with self._lock:
            if self.count >= self._most:
                raise failure
            self.count += 1
            count = self.count
        self._say(f"warning: {failure}: it is made anew ({count} of task.restarts = {self._most})")
        self._keep(failure.traceback)
