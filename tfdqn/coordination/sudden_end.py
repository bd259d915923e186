"""`end_now`, `end_stuck`: end the process at once, and before tell those who are `told_of_sudden_end`."""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from tfdqn.errors import RESTART_STATUS

_TELL_SECONDS = 2.0
_told: list[Callable[[str, int], None]] = []


@contextmanager
def told_of_sudden_end(tell: Callable[[str, int], None]) -> Iterator[None]:
    """If the process ends by one of these while the block runs, calls `tell` with the line and the exit status."""
    _told.append(tell)
    try:
        yield
    finally:
        _told.remove(tell)


def end_now(line: str, status: int = RESTART_STATUS) -> None:
    """Prints a line and ends the process at once, whatever its other threads are doing."""
    print(f"tfdqn: {line}", file=sys.stderr, flush=True)
    _end(line, status)


def end_stuck(line: str) -> None:
    """As `end_now`, to be started again; also prints where each thread is."""
    print(f"tfdqn: {line}", file=sys.stderr, flush=True)
    faulthandler.dump_traceback()
    _end(line, RESTART_STATUS)


def _end(line: str, status: int) -> NoReturn:
    # In a thread: a disk that does not answer may be why the process makes no progress.
    telling = threading.Thread(target=_tell_all, args=(line, status), daemon=True)
    telling.start()
    telling.join(_TELL_SECONDS)
    os._exit(status)


def _tell_all(line: str, status: int) -> None:
    for tell in tuple(_told):
        tell(line, status)
