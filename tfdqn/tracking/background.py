"""`BackgroundTracker`: a tracker in a thread of its own, so that it can neither end training nor slow it."""

from collections.abc import Callable
from queue import Full, Queue
from threading import Event, Thread
from typing import Any

from tfdqn.errors import one_line
from tfdqn.tracking.tracker import ForwardingTracker, Tracker, TrackerError

_MOST_CALLS = 1_000  # that wait for it: at a point of the curves a second, a quarter of an hour
_MAKING_SECONDS = 10.0  # that the film of a run that has finished waits for it


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
        self._calls: Queue[tuple[str, tuple[Any, ...]]] = Queue(_MOST_CALLS)
        self._tracker: Tracker | None = None
        self._is_made = Event()
        self._is_over = False  # it is told nothing more
        self._thread = Thread(target=self._run, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def tell(self, method: str, *arguments: Any) -> None:
        """Has the thread call it; returns at once."""
        if self._is_over:
            return
        try:
            self._calls.put_nowait((method, arguments))
        except Full:
            self._drop(f"is {_MOST_CALLS:,} calls behind")

    @property
    def takes_videos(self) -> bool:
        self._is_made.wait(_MAKING_SECONDS)
        return self._tracker is not None and self._tracker.takes_videos and not self._is_over

    def wait_until_closed(self, seconds: float) -> None:
        """Waits until it has done all that it was told, `close` last; drops it where that takes longer."""
        self._thread.join(seconds)
        if not self._is_over:
            self._drop("has not come to an end in time")

    def _run(self) -> None:
        try:
            self._tracker = tracker = self._make()
            self._is_made.set()
            self._is_over = self._is_over or tracker is None
            while tracker is not None and not self._is_over:
                method, arguments = self._calls.get()  # no limit: a thread that ends with the process waits for calls
                getattr(tracker, method)(*arguments)
                self._is_over = self._is_over or method == "close"
        except BaseException as error:  # SystemExit, too, ends only the tracker
            self._drop(f"failed: {error if isinstance(error, TrackerError) else one_line(error)}")
        finally:
            self._is_made.set()

    def _drop(self, why: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._say(f"warning: the tracker {self._name} {why}; it is told nothing more")
