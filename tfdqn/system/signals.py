"""Turns Ctrl-C, SIGTERM and SIGHUP into a function that loops ask whether to stop, so that they can save first."""

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

_ANSWER_SECONDS = 1.0


class Interruption(Exception):
    """Raised to abandon work because the user wants to stop; nothing is wrong."""


def end_at_once() -> NoReturn:
    """Ends the process for a second Ctrl-C, without any cleanup, since that may be what hangs."""
    # Not by what Python or Rich buffers: the handler may have interrupted just that.
    with suppress(OSError):
        os.write(1, b"\nended at once, without saving\n")
    os._exit(130)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handles Ctrl-C by a KeyboardInterrupt, as Python does, but ends the process during an import.

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
    at_once: Callable[[], None], acknowledge: Callable[[], None] = lambda: None
) -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether the user has asked to stop.

    Any thread may ask it, and hears of a signal even while the main thread is in a call below Python, where no handler
    runs. Off the main thread, where Python takes no signals, none is ever heard.

    Args:
      at_once: what a Ctrl-C does when the user has asked before.
      acknowledge: says that the first signal was heard, from a thread of its own; a terminal that is gone is no error.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []  # not an Event: a handler may interrupt another inside its lock

    def ask(number: int, frame: FrameType | None) -> None:
        if asked and number == signal.SIGINT:
            at_once()
        asked.append(number)

    acknowledged = threading.Event()

    def answer() -> None:
        with suppress(OSError):
            acknowledge()
        acknowledged.set()

    numbers = _numbers()
    with _arrivals(numbers, answer) as arrived:
        before = {number: signal.signal(number, ask) for number in numbers}
        try:
            yield lambda: bool(asked or arrived)
        finally:
            if asked:
                acknowledged.wait(_ANSWER_SECONDS)  # what is said next comes after it
            for number, handler in before.items():
                signal.signal(number, handler)


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
def ended_by_signals(interrupted: Callable[[], bool]) -> Iterator[None]:
    """While the block runs, SIGINT, SIGTERM and SIGHUP end the process, as they do by default.

    It is for native calls that no thread could end, because TensorFlow holds Python's lock in some. A signal that has
    come before the block ends the process at once.

    Args:
      interrupted: from `interruptions`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # another thread can't set them, and the main one hears them
        return
    before = {number: signal.signal(number, signal.SIG_DFL) for number in _numbers()}
    try:
        if interrupted():
            signal.raise_signal(signal.SIGTERM)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _numbers() -> list[signal.Signals]:
    """What asks to stop."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)  # under nohup
    return numbers


@contextmanager
def _arrivals(numbers: Collection[int], answer: Callable[[], None]) -> Iterator[list[int]]:
    """Yields the signals of these numbers that have come, as the system's own handler tells a thread by a pipe.

    The thread calls `answer` at the first.
    """
    arrived: list[int] = []
    heard, woken = os.pipe()

    def listen() -> None:
        while number := os.read(heard, 1):  # until the other end is closed
            if number[0] in numbers:
                arrived.append(number[0])
                if len(arrived) == 1:
                    answer()
        os.close(heard)

    os.set_blocking(woken, False)
    before = signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    threading.Thread(target=listen, name="signals", daemon=True).start()
    try:
        yield arrived
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)


def _listens_to_its_own_signals() -> None:
    """In a forked child: what it is sent must not be taken for its parent's."""
    signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_listens_to_its_own_signals)
