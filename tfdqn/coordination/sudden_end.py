"""`end_now`, `end_stuck`: end the process at once, after telling the functions given to `told_of_sudden_end`."""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from tfdqn.errors import RESTART_STATUS

_TELL_SECONDS = 2.0
_told: list[Callable[[str], None]] = []


@contextmanager
def told_of_sudden_end(tell: Callable[[str], None]) -> Iterator[None]:
    """If the process ends by one of these while the block runs, calls `tell` with the line, in a thread of its own."""
    _told.append(tell)
    try:
        yield
    finally:
        _told.remove(tell)


def end_now(line: str, status: int = RESTART_STATUS) -> NoReturn:
    """Prints a line and ends the process at once, whatever its other threads are doing."""
    _end(line, status, lambda: None)


def end_stuck(line: str) -> NoReturn:
    """As `end_now`, to be started again; also prints where each thread is."""
    _end(line, RESTART_STATUS, faulthandler.dump_traceback)


def _end(line: str, status: int, show_more: Callable[[], None]) -> NoReturn:
    try:
        print(f"tfdqn: {line}", file=sys.stderr, flush=True)
        show_more()
    finally:  # also if nobody reads that any more
        try:
            _tell_all(line)
        finally:
            os._exit(status)


def _tell_all(line: str) -> None:
    """Calls each function in a thread: a disk that does not answer may be why the process makes no progress."""
    telling = [threading.Thread(target=tell, args=(line,), daemon=True) for tell in tuple(_told)]
    for each in telling:
        each.start()
    deadline = time.monotonic() + _TELL_SECONDS
    for each in telling:
        each.join(max(0.0, deadline - time.monotonic()))
