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
from tfdqn.system.code_places import places_of_threads
from tfdqn.system.output import native_output_file

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
    """As `end_now`, to be started again; also writes where each thread is, to the log of native output if there is one.

    Otherwise, as in a job's process, whose stderr is a log itself, to stderr.
    """
    log = native_output_file()
    _end(line if log is None else f"{line}; where its threads were is in {log}", RESTART_STATUS, _write_stacks)


def held_up(state: str) -> str:
    """What the process is doing, and in which lines of the environment's or the user's code its threads are, if any."""
    return ", in ".join([state, *places_of_threads()])


def _write_stacks() -> None:
    """Writes where each thread is to descriptor 2, which `native_output_to` leads to a log."""
    faulthandler.dump_traceback(file=2)


def _end(line: str, status: int, show_more: Callable[[], None]) -> NoReturn:
    try:
        show_more()
        begin = "\n" if sys.stderr.isatty() else ""  # below a bar's last line, which has no end yet
        print(f"{begin}tfdqn: {line}", file=sys.stderr, flush=True)
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
