"""Timers for periodic work, its rate, the time in which a process runs, and durations in words."""

import threading
import time


class IntervalTrigger:
    """Tells when periodic work is due: at once if it `is_due`, then so many seconds after it was last done."""

    def __init__(self, seconds: float, is_due: bool = False):
        self._seconds = seconds
        self._next = time.monotonic() + (0.0 if is_due else seconds)

    def is_due(self) -> bool:
        """Whether the interval has passed."""
        return time.monotonic() >= self._next

    def done(self, at_least: float = 0.0) -> None:
        """Starts the next interval now, however long the work took; it is no shorter than `at_least`, in seconds."""
        self._next = time.monotonic() + max(self._seconds, at_least)


class RunningTime:
    """Seconds by `time.monotonic`, without those in which this process was stopped as a whole, as by `docker pause`.

    Nothing reads it then: of the time between two readings, no more than `most_between_readings` counts. Thread-safe.
    """

    def __init__(self, most_between_readings: float):
        self._most_between_readings, self._seconds = most_between_readings, 0.0
        self._read_seconds = time.monotonic()
        self._reading = threading.Lock()

    def read(self) -> float:
        """The seconds since it was made."""
        with self._reading:
            now = time.monotonic()
            self._seconds += min(now - self._read_seconds, self._most_between_readings)
            self._read_seconds = now
            return self._seconds


class Rate:
    """Events per second since the last reading."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None

    def read(self, seconds: float, count: int) -> float:
        """The rate since the previous call, 0 at the first one: now, by any monotonic clock, `count` events so far."""
        previous, self._last = self._last, (seconds, count)
        if previous is None or seconds <= previous[0]:
            return 0.0
        return (count - previous[1]) / (seconds - previous[0])


def duration(seconds: float) -> str:
    """A duration as "0:07", "12:34" or "1:02:03"."""
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_seconds:02}" if hours else f"{minutes}:{whole_seconds:02}"
