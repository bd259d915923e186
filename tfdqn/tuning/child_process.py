"""`ChildProcess`: a child process that trains one run or several, as its parent sees it."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress

from tfdqn.cluster.roles import LEARNER, TRAITS
from tfdqn.system.subprocesses import status_when_ended

_GRACE_SECONDS = TRAITS[LEARNER.role].grace_seconds  # to save and end after SIGTERM, before it is killed
# Exit statuses of a process that was asked to end and could not save, or not in time.
UNSAVED = (130, 143, *(-number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))


class ChildProcess(ABC):
    """A child process that `ChildRuns` starts, polls a few times a second, and ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._deadline_seconds: float | None = None  # when it is killed; None: it has not been asked to end

    @property
    def has_begun(self) -> bool:
        """Whether it was started."""
        return self._process is not None

    @property
    def is_asked_to_end(self) -> bool:
        """Whether it was asked to save and end."""
        return self._deadline_seconds is not None

    @property
    @abstractmethod
    def has_ended(self) -> bool:
        """Whether `look` has found that it ended, or it could not be started."""

    @abstractmethod
    def start(self, command: Sequence[str], environment: Mapping[str, str | None]) -> None:
        """Starts the process.

        Args:
          command: the beginning of its command line.
          environment: variables to set; with None, to remove.
        """

    @abstractmethod
    def look(self) -> bool:
        """Polls the process; returns whether it has ended since the last call."""

    def stop(self) -> None:
        """Asks the process to save and end; `look` returns True once it has."""
        if self._process is not None and not self.has_ended and not self.is_asked_to_end:
            self._deadline_seconds = time.monotonic() + _GRACE_SECONDS
            os.kill(self._process.pid, signal.SIGTERM)  # it hasn't been reaped, so the pid is still its own

    def kill(self) -> None:
        """Kills the process and all that it has started, without waiting."""
        if self._process is not None and not self.has_ended:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _status(self) -> int | None:
        """Its exit status, as from `status_when_ended`. Kills it if it was asked to end and hasn't done so in time."""
        if self._process is None:
            return None
        if self._deadline_seconds is not None and time.monotonic() > self._deadline_seconds:
            self.kill()
        return status_when_ended(self._process)
