"""`StallDetector`: how long a process has made no progress, although a thread of it still sends heartbeats."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tfdqn.coordination.sudden_end import end_stuck, held_up
from tfdqn.system.code_places import calls_to_environments

TO_BE_STARTED_AGAIN = "ended, to be started again"
_SAID_AFTER_SECONDS = 60.0
_MOST_SECONDS_BETWEEN_CHECKS = 60.0  # counted: the process may have been stopped as a whole


class StallDetector:
    """The working thread records its progress, and another thread checks it.

    Without recorded progress, as while environments are made, only a call to an environment can stall: nothing limits
    compilation, and what serves in native code has no loop that could record any.
    """

    def __init__(self) -> None:
        self.stuck_seconds = 0.0  # of the part that has been so for longest, as of the last check
        self.longest_seconds = 0.0  # that a part or a call took before it went on
        self.is_saved = False  # whether all work was done and is saved
        self._counts: dict[str, int] = {}
        self._idle: dict[str, tuple[int, float]] = {}  # the count that was seen last, and for how long
        self._calls: dict[FrameType, float] = {}  # to environments, and for how long each was seen
        self._suspensions = 0
        self._checked_seconds = time.monotonic()

    def record_progress(self, part: str = "work") -> None:
        """Records progress in a part of the work. From the first time on, more is expected."""
        self._counts[part] = self._counts.get(part, 0) + 1

    def finish(self) -> None:
        """No more progress is expected from now on, except that calls to environments return."""
        self._counts.clear()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """No progress is expected while the block runs, however long it takes."""
        self._suspensions += 1
        try:
            yield
        finally:
            self._suspensions -= 1

    @property
    def is_suspended(self) -> bool:
        """Whether such a block runs."""
        return self._suspensions > 0

    def check(self, is_excused: bool = False) -> None:
        """Checks for progress since the last check; `is_excused`: there was a good reason for none."""
        now = time.monotonic()
        passed = min(now - self._checked_seconds, _MOST_SECONDS_BETWEEN_CHECKS)
        is_excused = is_excused or self.is_suspended
        idle = {}
        for part, count in list(self._counts.items()):
            before, seconds = self._idle.get(part, (-1, 0.0))
            if count != before:
                self.longest_seconds = max(self.longest_seconds, seconds)
            is_idle = count == before and not is_excused
            idle[part] = (count, seconds + passed if is_idle else 0.0)
        calls = dict.fromkeys(calls_to_environments(), 0.0)
        for call, seconds in self._calls.items():
            if call not in calls:
                self.longest_seconds = max(self.longest_seconds, seconds)
            elif not is_excused:
                calls[call] = seconds + passed
        self._idle, self._calls, self._checked_seconds = idle, calls, now
        self.stuck_seconds = max([*(seconds for _, seconds in idle.values()), *calls.values()], default=0.0)

    def described(self, state: str) -> str:
        """What the process is doing, and, if that is long, for how long it has made no progress."""
        if self.stuck_seconds < _SAID_AFTER_SECONDS:
            return state
        return f"{state}, stuck for {self.stuck_seconds:.0f} s"

    def end_if_stuck(
        self, name: str, state: str, after_seconds: float, ended: str = TO_BE_STARTED_AGAIN, is_logged: bool = True
    ) -> None:
        """Ends the process if its work has stalled; says what holds it up and, in the words `ended`, what follows.

        `is_logged` is as for `end_stuck`.
        """
        if self.stuck_seconds > after_seconds:
            stall = f"{name} has made no progress for {self.stuck_seconds:.0f} s ({held_up(state)})"
            end_stuck(f"{stall}: {ended}", is_logged)
