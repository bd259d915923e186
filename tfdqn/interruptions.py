"""Turns Ctrl-C, SIGTERM and SIGHUP into a question that a loop asks, so that what is under way can be saved first."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn


class Interrupted(Exception):
    """Work was given up half-way because the user wants to stop; nothing is wrong."""


def end_at_once() -> NoReturn:
    """For a second Ctrl-C: waits for nothing, which may be what hangs."""
    # Not by what Python or Rich buffers: the handler may have interrupted just that.
    with suppress(OSError):
        os.write(1, b"\nended at once, without saving: the last checkpoint stands\n")
    os._exit(130)


@contextmanager
def interruptions(at_once: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether the user has asked to stop.

    Off the main thread, where Python takes no signals, nobody ever asks.

    Args:
      at_once: what a Ctrl-C does when the user has asked before.
    """
    asked: list[int] = []  # not an Event: a handler may interrupt another inside its lock
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked and number == signal.SIGINT:
            at_once()
        asked.append(number)

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)  # under nohup
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
