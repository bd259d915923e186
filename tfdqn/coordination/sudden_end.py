"""`end_now`, `end_stuck`: end the process at once, after telling the functions given to `told_of_sudden_end`."""

import faulthandler
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import NoReturn, TextIO

from tfdqn.errors import RESTART_STATUS
from tfdqn.system.code_places import places_of_threads
from tfdqn.system.concurrent_calls import run_at_once
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
    _end(line, status)


def end_stuck(line: str, is_logged: bool = True) -> NoReturn:
    """As `end_now`, to be started again; also writes where each thread is, to the log of native output if there is one.

    Otherwise to stderr, but only if that `is_logged`, as a job's process's is.
    """
    log = native_output_file()
    if log is None and not is_logged:
        end_now(line)
    _end(line if log is None else f"{line}; where its threads were is in {log}", RESTART_STATUS, _stacks())


def held_up(state: str) -> str:
    """What the process is doing, and in which lines of the environment's or the user's code its threads are, if any."""
    return ", in ".join([state, *places_of_threads()])


def _stacks() -> bytes:
    """Where each thread is, in lines."""
    # In memory, since faulthandler writes with Python's lock held, and then no thread could end this process.
    with os.fdopen(os.memfd_create("stacks"), "w+b") as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        return file.read()


def _end(line: str, status: int, stacks: bytes = b"") -> NoReturn:
    # All in threads: a terminal, a log or a disk that does not answer may be why the process makes no progress.
    try:
        if stacks:
            with suppress(RuntimeError):  # no thread can be started
                # To descriptor 2, which `native_output_to` leads to a log.
                run_at_once([lambda: os.write(2, stacks)], _TELL_SECONDS)
        try:
            run_at_once([partial(_print, line)], _TELL_SECONDS)
        except RuntimeError:
            _print(line)
    finally:  # also if nobody reads that any more
        try:
            run_at_once([partial(tell, line) for tell in tuple(_told)], _TELL_SECONDS)
        finally:
            os._exit(status)


def _print(line: str) -> None:
    begin = "\n" if sys.stderr.isatty() else ""  # below a bar's last line, which has no end yet
    print(f"{begin}tfdqn: {line}", file=sys.stderr, flush=True)
    if sys.__stderr__ is not None and not _has_descriptor(sys.stderr):
        # A notebook's, or text that is kept until a call returns, or discarded.
        print(f"tfdqn: {line}", file=sys.__stderr__, flush=True)


def _has_descriptor(stream: TextIO) -> bool:
    try:
        return stream.fileno() >= 0
    except OSError:
        return False
