"""Redirects what C libraries print: `native_output_to` from stderr to a file; `others_print_to_stderr` from stdout."""

import ctypes
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO


@contextmanager
def native_output_to(path: Path) -> Iterator[None]:
    """Makes file descriptor 2, to which Reverb and XLA print, append to `path` until the block ends.

    `sys.stderr` moves to a copy of the old descriptor, so that Python's errors and progress are still shown.
    """
    before = sys.stderr
    before.flush()
    with path.open("ab") as log:
        terminal = os.dup(2)
        try:
            if _writes_to_descriptor_2(before):
                sys.stderr = _text_to(terminal, like=before)
            os.dup2(log.fileno(), 2)
            yield
        finally:
            os.dup2(terminal, 2)
            if sys.stderr is not before:
                sys.stderr.flush()
                sys.stderr = before
            os.close(terminal)


@contextmanager
def others_print_to_stderr() -> Iterator[None]:
    """Sends all that the block prints to stdout to stderr, also by C libraries and child processes.

    So stdout is kept for output that another program reads.
    """
    _flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _flush()
        os.dup2(kept, 1)
        os.close(kept)


def _flush() -> None:
    """Flushes Python's buffer of stdout, and C's, which would otherwise be written when the process ends."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)


def _text_to(descriptor: int, like: TextIO) -> TextIO:
    return open(descriptor, "w", buffering=1, encoding=like.encoding, errors=like.errors, closefd=False)


def _writes_to_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError, io.UnsupportedOperation):
        return False
