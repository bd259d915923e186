"""`BackgroundTracker`: runs a tracker in a thread of its own, so that it can neither stop training nor slow it down."""

from collections.abc import Callable
from queue import Full, Queue
from threading import Event, Thread
from typing import Any

from tfdqn.errors import one_line
from tfdqn.tracking.tracker import ForwardingTracker, Tracker, TrackerError

_MAX_QUEUED_CALLS = 1_000  # with one point of the curves per second, a quarter of an hour
_START_SECONDS = 10.0  # how long the video of a finished run waits for the tracker to start


class BackgroundTracker(ForwardingTracker):
    """Makes a tracker in a thread, and passes calls on to it in order.

    A tracker that raises, falls far behind or doesn't close in time is dropped, with one warning.

    Args:
      name: the tracker's name in messages.
      make: called in the thread, so that it may wait, for a server say; returns None if no tracker is wanted.
      say: prints one line for the user.
    """

    def __init__(self, name: str, make: Callable[[], Tracker | None], say: Callable[[str], None]):
        self._name, self._make, self._say = name, make, say
        self._calls: Queue[tuple[str, tuple[Any, ...]]] = Queue(_MAX_QUEUED_CALLS)
        self._tracker: Tracker | None = None
        self._is_made = Event()
        self._is_over = False  # closed or dropped
        self._thread = Thread(target=self._run, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def tell(self, method: str, *arguments: Any) -> None:
        """Queues a call for the thread; returns at once."""
        if self._is_over:
            return
        try:
            self._calls.put_nowait((method, arguments))
        except Full:
            self._drop(f"is {_MAX_QUEUED_CALLS:,} calls behind")

    @property
    def takes_videos(self) -> bool:
        self._is_made.wait(_START_SECONDS)
        return self._tracker is not None and self._tracker.takes_videos and not self._is_over

    def wait_until_closed(self, seconds: float) -> None:
        """Waits until all queued calls are done, `close` last; drops the tracker if that takes longer."""
        self._thread.join(seconds)
        if not self._is_over:
            self._drop("has not come to an end in time")

    def _run(self) -> None:
        try:
            self._tracker = tracker = self._make()
            self._is_made.set()
            self._is_over = self._is_over or tracker is None
            while tracker is not None and not self._is_over:
                method, arguments = self._calls.get()  # needs no timeout: the thread is a daemon
                getattr(tracker, method)(*arguments)
                self._is_over = self._is_over or method == "close"
        except BaseException as error:  # even SystemExit must end only the tracker
            self._drop(f"failed: {error if isinstance(error, TrackerError) else one_line(error)}")
        finally:
            self._is_made.set()

    def _drop(self, why: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._say(f"warning: the tracker {self._name} {why}; it is told nothing more")
