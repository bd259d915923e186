"""`one_blas_thread`: limits the BLAS of NumPy, by which policies act, to one thread: more would only wait."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_limits: list[Any] = []  # one for each block since none ran, as a block may have loaded further libraries
_running = 0  # blocks


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limits all BLAS libraries of this process to one thread until the block ends, and all that overlap with it."""
    global _running
    with _lock:
        _limits.append(threadpool_limits(1, "blas"))
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            while _limits and not _running:
                _limits.pop().restore_original_limits()
