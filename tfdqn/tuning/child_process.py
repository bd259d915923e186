"""`ChildProcess`: a process that trains one run, or several, as the process that has begun it sees it."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress

from tfdqn.cluster.roles import LEARNER, TRAITS
from tfdqn.system.subprocesses import status_when_ended

_GRACE_SECONDS = TRAITS[LEARNER.role].grace_seconds  # from being asked to end until being killed, in which it saves
# By which a process ends that was asked to, but could not save: in time, or at all.
UNSAVED = (130, 143, *(-number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))


class ChildProcess(ABC):
    """One that `ChildRuns` begins, looks at a few times a second, and ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._deadline_seconds: float | None = None  # after which it is killed; None: it has not been asked to end

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
        """Whether it was seen to have ended, or could not begin."""

    @abstractmethod
    def start(self, command: Sequence[str], environment: Mapping[str, str | None]) -> None:
        """Begins it.

        Args:
          command: its beginning.
          environment: variables to set, or with None to leave out.
        """

    @abstractmethod
    def look(self) -> bool:
        """Whether it has ended since the last look."""

    def stop(self) -> None:
        """Asks it to save and end; `look` says when it has."""
        if self._process is not None and not self.has_ended and not self.is_asked_to_end:
            self._deadline_seconds = time.monotonic() + _GRACE_SECONDS
            os.kill(self._process.pid, signal.SIGTERM)  # it hasn't been reaped, so its number is still its own

    def kill(self) -> None:
        """With all that it has started; waits for nothing."""
        if self._process is not None and not self.has_ended:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _status(self) -> int | None:
        """As `status_when_ended`; if it has not ended in time when it was asked to, it is killed."""
        if self._process is None:
            return None
        if self._deadline_seconds is not None and time.monotonic() > self._deadline_seconds:
            self.kill()
        return status_when_ended(self._process)
