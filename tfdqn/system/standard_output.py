"""`others_print_to_stderr`: keeps stdout for output that another program reads; all else goes to stderr."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def others_print_to_stderr() -> Iterator[None]:
    """Sends everything that is printed to stdout in the block to stderr, also by C libraries and child processes."""
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
    """Flushes Python's buffer of stdout, and C's, which would otherwise be written when the process ends."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)
