"""`native_output_to`: redirects what C++ libraries (Reverb, XLA) print to a file; Python still prints as before."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def native_output_to(path: Path) -> Iterator[None]:
    """Makes file descriptor 2 append to `path` until the block ends.

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


def _text_to(descriptor: int, like: TextIO) -> TextIO:
    return open(descriptor, "w", buffering=1, encoding=like.encoding, errors=like.errors, closefd=False)


def _writes_to_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError, io.UnsupportedOperation):
        return False
