"""Keeps standard output for what a program is to read: what others print meanwhile goes to standard error."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def others_print_to_stderr() -> Iterator[None]:
    """Until the block ends, what this process prints to standard output goes to standard error.

    What libraries in C print goes there too, and what processes print that it starts.
    """
    _flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _flush()
        os.dup2(kept, 1)
        os.close(kept)


def _flush() -> None:
    """Python's own buffer, and C's, which would else be written at the process's end."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)
