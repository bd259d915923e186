"""Sends what C++ libraries print (Reverb, XLA) to a file, while Python goes on writing to the terminal."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def native_output_to(path: Path) -> Iterator[None]:
    """File descriptor 2 appends to `path` until the block ends; `sys.stderr` keeps its place.

    Python's own stderr is moved to a copy of the descriptor, so errors and progress still show.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    before = sys.stderr
    if _writes_to_descriptor_2(before):
        sys.stderr = open(terminal, "w", buffering=1, encoding=before.encoding, closefd=False)  # noqa: SIM115
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 2)
    os.close(log)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        if sys.stderr is not before:
            sys.stderr.flush()
            sys.stderr = before
        os.close(terminal)


def _writes_to_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError, io.UnsupportedOperation):
        return False
