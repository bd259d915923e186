"""Threads that can be paused together between two units of work, and whose failures reach the main thread."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tfdqn.system.signals import Interrupted

_JOIN_SECONDS = 900.0  # a unit of work may be thousands of slow updates


class StillBusyError(RuntimeError):
    """A worker's unit of work takes longer than it is waited for."""


class Gate:
    """Workers pass it between units of work; while it is closed they wait there."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._at_work = 0

    def enter(self) -> None:
        """A worker begins a unit of work, as soon as the gate is open."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)  # no limit: what has closed it opens it again
            self._at_work += 1

    def leave(self) -> None:
        """A worker has ended its unit of work."""
        with self._changed:
            self._at_work -= 1
            self._changed.notify_all()

    @contextmanager
    def closed(self, timeout_seconds: float) -> Iterator[None]:
        """No worker is at work while the block runs; then the gate opens.

        Raises StillBusyError where one does not come in time. The gate stays closed then, until `open`: were those
        that have come let go before the next try, workers with long units might never all be there at once.
        """
        with self._changed:
            self._closed = True
            if not self._changed.wait_for(lambda: self._at_work == 0, timeout_seconds):
                raise StillBusyError
        try:
            yield
        finally:
            self.open()

    def open(self) -> None:
        """Lets the workers that wait go on."""
        with self._changed:
            self._closed = False
            self._changed.notify_all()


class Worker(threading.Thread):
    """Repeats a unit of work until it is told to stop, or fails.

    Args:
      name: of the thread.
      work: one unit; returns within a fraction of a second where there is nothing to do.
      gate: passed before every unit; None: the worker is never paused.
    """

    def __init__(self, name: str, work: Callable[[], None], gate: Gate | None = None):
        super().__init__(name=name, daemon=True)
        self._work = work
        self._gate = gate
        self._stop_requested = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        while not self._stop_requested.is_set() and self.error is None:
            if self._gate is not None:
                self._gate.enter()
            try:
                self._work()
            except BaseException as error:
                self.error = error
            finally:
                if self._gate is not None:
                    self._gate.leave()

    def request_stop(self) -> None:
        """Makes the unit of work under way the last one."""
        self._stop_requested.set()


@contextmanager
def running(workers: Sequence[Worker]) -> Iterator[None]:
    """Runs the workers while the block does, then stops them; also where the block ends by an exception.

    Raises what ended a worker, or StillBusyError if one does not end: its unit of work hangs.
    """
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.request_stop()
        for worker in workers:
            worker.join(_JOIN_SECONDS)
        raise_first_error(workers)
    stuck = [worker.name for worker in workers if worker.is_alive()]
    if stuck:
        raise StillBusyError(
            f"{', '.join(stuck)}: still at work {_JOIN_SECONDS:g} s after being told to stop"
        )


def raise_first_error(workers: Sequence[Worker]) -> None:
    """Raises in the caller's thread what ended a worker; a failure before the user's wish to stop."""
    errors = [worker.error for worker in workers if worker.error is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Interrupted)):
        raise error
