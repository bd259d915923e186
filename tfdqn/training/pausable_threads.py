"""`PausableThread`: a thread of the learning process that repeats a unit of work and can be paused between two."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from tfdqn.system.signals import Interruption

_JOIN_SECONDS = 900.0  # a unit of work may be thousands of slow updates


class StillBusyError(RuntimeError):
    """A thread's unit of work did not end within the time limit."""


class Gate:
    """A gate that threads pass between units of work; while it is closed they wait there."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._at_work = 0

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Runs a thread's unit of work as the block, as soon as the gate is open."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)  # no timeout: what closed the gate opens it again
            self._at_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    @contextmanager
    def closed(self, timeout_seconds: float) -> Iterator[None]:
        """Keeps all threads waiting while the block runs, then opens the gate.

        Raises StillBusyError if a thread does not arrive in time. The gate then stays closed until `open`: if the
        threads that have arrived went on before the next try, those with long units might never all wait at once.
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
        """Lets the waiting threads go on."""
        with self._changed:
            self._closed = False
            self._changed.notify_all()


class PausableThread(threading.Thread):
    """Repeats a unit of work until it is told to stop, or fails. Without a gate it is never paused.

    `work` does one unit, and returns within a fraction of a second if there is nothing to do.
    """

    def __init__(self, name: str, work: Callable[[], None], gate: Gate | None = None):
        super().__init__(name=name, daemon=True)
        self._work = work
        self._gate = gate
        self._stop_requested = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        while not self._stop_requested.is_set() and self.error is None:
            with self._gate.passed() if self._gate is not None else nullcontext():
                try:
                    self._work()
                except BaseException as error:
                    self.error = error

    def request_stop(self) -> None:
        """Tells the thread to stop after its current unit of work."""
        self._stop_requested.set()


@contextmanager
def running(threads: Sequence[PausableThread]) -> Iterator[None]:
    """Runs the threads while the block runs, then stops them, even if the block raises.

    Raises the error that ended a thread, or StillBusyError if one does not end because its unit of work hangs. An
    Interruption by which a thread ended does not replace another error of the block, which may be its cause.
    """
    for thread in threads:
        thread.start()
    try:
        yield
    except BaseException as error:
        _stop(threads)
        if (failure := _most_telling([*_errors_of(threads), error])) is error:
            raise
        raise failure from error
    _stop(threads)
    raise_first_error(threads)
    stuck = [thread.name for thread in threads if thread.is_alive()]
    if stuck:
        raise StillBusyError(f"{', '.join(stuck)}: still at work {_JOIN_SECONDS:g} s after being told to stop")


def raise_first_error(threads: Sequence[PausableThread]) -> None:
    """Raises, in the caller's thread, the error that ended a thread; a failure is preferred to an Interruption."""
    if errors := _errors_of(threads):
        raise _most_telling(errors)


def _errors_of(threads: Sequence[PausableThread]) -> list[BaseException]:
    return [thread.error for thread in threads if thread.error is not None]


def _most_telling(errors: Sequence[BaseException]) -> BaseException:
    """The first that is no Interruption, or else the first."""
    return min(errors, key=lambda error: isinstance(error, Interruption))


def _stop(threads: Sequence[PausableThread]) -> None:
    for thread in threads:
        thread.request_stop()
    for thread in threads:
        thread.join(_JOIN_SECONDS)
