"""`BackgroundTracker`: a tracker in a thread of its own, so that it can neither end training nor slow it."""

from collections.abc import Callable
from queue import Full, Queue
from threading import Event, Thread

from tfdqn.errors import one_line
from tfdqn.tracking.tracker import ForwardingTracker, Tracker

_MOST_CALLS = 1_000  # that wait for it: at a point of the curves a second, a quarter of an hour
_CLOSE_SECONDS = 10.0  # that training waits for it at its end


class BackgroundTracker(ForwardingTracker):
    """Makes a tracker, and calls it in the order in which it is told to.

    One that raises, falls far behind or does not come to an end is dropped, which is said once.

    Args:
      name: what the user calls it.
      make: called in the thread: it may wait for a server, say. None: no tracker is wanted.
      say: shows one line to the user.
    """

    def __init__(self, name: str, make: Callable[[], Tracker | None], say: Callable[[str], None]):
        self._name, self._make, self._say = name, make, say
        self._calls: Queue[Callable[[Tracker], None]] = Queue(_MOST_CALLS)
        self._tracker: Tracker | None = None
        self._is_made = Event()
        self._is_over = False  # it is told nothing more
        self._thread = Thread(target=self._run, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def tell(self, call: Callable[[Tracker], None]) -> None:
        """Has the thread call it; returns at once."""
        if self._is_over:
            return
        try:
            self._calls.put_nowait(call)
        except Full:
            self._drop(f"is {_MOST_CALLS:,} calls behind")

    @property
    def takes_videos(self) -> bool:
        self._is_made.wait(_CLOSE_SECONDS)
        return self._tracker is not None and self._tracker.takes_videos and not self._is_over

    def close(self) -> None:
        """Waits, for a while, until it has done all that it was told."""
        self.tell(self._end)
        if not self._is_over:
            self._thread.join(_CLOSE_SECONDS)
        if not self._is_over:
            self._drop(f"has not come to an end within {_CLOSE_SECONDS:g} s")

    def _run(self) -> None:
        try:
            self._tracker = tracker = self._make()
            self._is_made.set()
            self._is_over = self._is_over or tracker is None
            while tracker is not None and not self._is_over:
                self._calls.get()(tracker)  # no limit: a thread that ends with the process waits for calls
        except BaseException as error:  # SystemExit, too, ends only the tracker
            self._drop(f"failed: {one_line(error)}")
        finally:
            self._is_made.set()

    def _end(self, tracker: Tracker) -> None:
        tracker.close()
        self._is_over = True

    def _drop(self, why: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._say(f"warning: the tracker {self._name} {why}; it is told nothing more")
