"""Turns Ctrl-C, SIGTERM and SIGHUP into a function that loops poll, so that they can save before they stop."""

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

_ANSWER_SECONDS = 1.0
# Signals that come so soon after the first count as one with it: `timeout` sends its own to the command, and at once
# again to the command's group.
_ONE_SIGNAL_SECONDS = 0.5
_PIPE_BYTES = 64
_last_words: list[bytes] = []  # what `end_at_once` says
_heard: list[signal.Signals] = []  # those that have asked this process to stop, in the `interruptions` that run


class Interruption(Exception):
    """Raised to abandon work because the user wants to stop; nothing is wrong."""


def end_at_once() -> NoReturn:
    """Ends the process for a second Ctrl-C, without any cleanup, which may be what hangs."""
    # Unbuffered: the handler may have interrupted a write to Python's or Rich's buffer.
    with suppress(OSError):
        os.write(1, b"".join([b"\nended at once: what was not saved is lost\n", *_last_words[-1:]]))
    os._exit(130)


@contextmanager
def last_words(words: str) -> Iterator[None]:
    """In the block, `end_at_once` also says `words`, which are encoded now: then nothing may take time or fail."""
    _last_words.append(f"{words}\n".encode(errors="surrogateescape"))
    try:
        yield
    finally:
        _last_words.pop()


def end_start(say: Callable[[], None], status: int = 0) -> NoReturn:
    """Ends the process while it starts: it has done nothing yet that could be lost. A terminal may be gone."""
    try:
        say()
    finally:
        os._exit(status)


def heard_signal() -> str:
    """The first signal that has asked this process to stop, in words; empty if none has."""
    return next(("Ctrl-C" if number is signal.SIGINT else number.name for number in _heard), "")


def stopping_line(phase: str = "") -> str:
    """What is said when a signal was heard, and what one more does; `phase` is what goes on, for a note in brackets."""
    heard = heard_signal()
    on_signal = f" on {heard}" if heard not in ("", "Ctrl-C") else ""
    ctrl_c = "Ctrl-C" if on_signal else "a second Ctrl-C"
    note = f" (phase: {phase})" if phase else ""
    return f"stopping{on_signal}{note}; {ctrl_c} ends everything at once, saved or not"


def interrupt(number: int, frame: FrameType | None) -> None:
    """A handler for Ctrl-C: raises KeyboardInterrupt, as Python does, but during an import ends the process.

    Modules compiled by Cython (NumPy, gRPC) catch every exception in some steps of their import, and would swallow it.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        frame = frame.f_back
    raise KeyboardInterrupt


@contextmanager
def interruptions(
    at_once: Callable[[], None],
    acknowledge: Callable[[], None] = lambda: None,
    numbers: Collection[signal.Signals] | None = None,
) -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether the user has asked to stop.

    Any thread may call it. It notices a signal even while the main thread is in a native call, where no Python handler
    runs. If the block isn't run by the main thread, which alone can handle signals, it always returns False.

    Args:
      at_once: called in the main thread by a Ctrl-C that comes half a second after the first signal, or later.
      acknowledge: called at the first signal, in a thread of its own, to print a message or to
        end the process; an OSError is ignored.
      numbers: the signals; None: all that ask to stop.
    """
    numbers = _numbers() if numbers is None else numbers
    if not numbers or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []  # not an Event: a handler may interrupt another inside its lock
    acknowledged = threading.Event()

    def answer() -> None:
        with suppress(OSError):
            acknowledge()
        acknowledged.set()

    _heard.clear()
    try:
        with _arrivals(numbers, answer) as arrivals:

            def ask(number: int, frame: FrameType | None) -> None:
                if number == signal.SIGINT and arrivals.is_repeated:
                    at_once()
                _heard.append(signal.Signals(number))
                asked.append(number)

            with _handled_by(ask, numbers):
                try:
                    yield lambda: bool(asked) or arrivals.first is not None
                finally:
                    if asked:
                        acknowledged.wait(_ANSWER_SECONDS)  # so that later messages follow it
    finally:
        _heard.clear()


@contextmanager
def signals_kept() -> Iterator[None]:
    """Restores the handlers of SIGINT, SIGTERM and SIGHUP after the block, in which a library may replace them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not handler and handler is not None:
                signal.signal(number, handler)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Lets SIGINT, SIGTERM and SIGHUP end the process in the block, as they do by default.

    For native calls in which no thread could end the process, because TensorFlow holds Python's lock. If a signal has
    arrived before the block, in that of `interruptions`, the process ends at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set handlers
        return
    with _handled_by(signal.SIG_DFL, _numbers()):
        if _heard:
            signal.raise_signal(_heard[0])
        yield


def unhandled_signals() -> list[signal.Signals]:
    """The signals that ask to stop and that nobody handles: they would end the process, or raise KeyboardInterrupt."""
    return [each for each in _numbers() if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler)]


def _numbers() -> list[signal.Signals]:
    """The signals that ask to stop."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)  # under nohup
    return numbers


@contextmanager
def _handled_by(
    handler: Callable[[int, FrameType | None], None] | signal.Handlers, numbers: Collection[signal.Signals]
) -> Iterator[None]:
    """Has these signals handled so while the block runs."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, each in before.items():
            signal.signal(number, each)


class _Arrivals:
    """The signals that have arrived. They are taken from Python's wake-up pipe, which has each as soon as it is sent.

    A handler of Python's may run only seconds later, after a native call, and once for several signals.

    Attributes:
      first: the first signal; None: none has arrived.
      is_repeated: whether a Ctrl-C has come later than `_ONE_SIGNAL_SECONDS` after the first signal. The main thread is
        then sent one more, whose handler sees this.
    """

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self.is_repeated = False
        self._first_at = 0.0

    def take(self, number: int) -> bool:
        """Takes a signal that has just arrived; returns whether it is the first."""
        if self.first is None:
            self.first, self._first_at = signal.Signals(number), time.monotonic()
            _heard.append(self.first)
            return True
        if number == signal.SIGINT and not self.is_repeated and self._seconds > _ONE_SIGNAL_SECONDS:
            self.is_repeated = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return False

    @property
    def _seconds(self) -> float:
        """Since the first signal."""
        return time.monotonic() - self._first_at


@contextmanager
def _arrivals(numbers: Collection[int], answer: Callable[[], None]) -> Iterator[_Arrivals]:
    """Yields the signals that arrive during the block. `answer` is called at the first, in a thread of its own."""
    arrivals = _Arrivals()
    read_end, write_end = os.pipe()

    def listen() -> None:
        while sent := os.read(read_end, _PIPE_BYTES):  # until the other end is closed
            for number in sent:
                if number in numbers and arrivals.take(number):
                    threading.Thread(target=answer, name="answer", daemon=True).start()
        os.close(read_end)

    os.set_blocking(write_end, False)
    before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    listening = threading.Thread(target=listen, name="signals", daemon=True)
    listening.start()
    try:
        yield arrivals
    finally:
        signal.set_wakeup_fd(before)
        os.close(write_end)
        listening.join(_ANSWER_SECONDS)  # what it has yet to take is of this block, not of the next


# A forked child leaves its parent's wake-up pipe, so that its signals aren't taken for its parent's.
os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
