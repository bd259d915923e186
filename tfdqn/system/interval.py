"""Timers for periodic work, and its rate."""

import time


class IntervalTrigger:
    """Says when periodic work is due: some seconds after the last time that it was done.

    Args:
      seconds: between two times.
      is_due: whether the first time is now.
    """

    def __init__(self, seconds: float, is_due: bool = False):
        self._seconds = seconds
        self._next = time.monotonic() + (0.0 if is_due else seconds)

    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def done(self) -> None:
        """Counts from now on, however long it took to do what was due."""
        self._next = time.monotonic() + self._seconds


class Rate:
    """Events per second since the last reading."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None

    def read(self, seconds: float, count: int) -> float:
        """The rate between the previous call and this one; 0 at the first.

        Args:
          seconds: by any clock that does not go back.
          count: of events so far.
        """
        previous, self._last = self._last, (seconds, count)
        if previous is None or seconds <= previous[0]:
            return 0.0
        return (count - previous[1]) / (seconds - previous[0])
