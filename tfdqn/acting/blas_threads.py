"""`one_blas_thread`: limits the BLAS of NumPy, by which policies act, to one thread: more would only wait."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limits all BLAS libraries of this process to one thread until the block ends, and all that overlap with it."""
    _limits.enter()
    try:
        yield
    finally:
        _limits.leave()


class _Limits:
    """The limits of all blocks; those from before the first come back when the last has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._limits: list[Any] = []  # one for each block, which may have loaded further libraries

    def enter(self) -> None:
        with self._lock:
            self._limits.append(threadpool_limits(1, "blas"))
            self._blocks += 1

    def leave(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                while self._limits:
                    self._limits.pop().restore_original_limits()


_limits = _Limits()
