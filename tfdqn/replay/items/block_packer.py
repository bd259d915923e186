"""`BlockPacker`: rows of any number → blocks of exactly M, the rest kept for the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np


class BlockPacker:
    """Passes uint8[M, row_bytes] on to `insert_block`, which must copy it, whenever M rows have come."""

    def __init__(self, block_size: int, row_bytes: int, insert_block: Callable[[np.ndarray], None]):
        self._block = np.zeros((block_size, row_bytes), np.uint8)
        self._filled = 0
        self._insert_block = insert_block

    def __call__(self, rows: np.ndarray) -> None:
        """Takes uint8[N, row_bytes], any N; the rows are copied."""
        size = len(self._block)
        while len(rows):
            if not self._filled and len(rows) >= size:
                self._insert_block(rows[:size])
                rows = rows[size:]
                continue
            taken = rows[: size - self._filled]
            self._block[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rows = rows[len(taken) :]
            if self._filled == size:
                self._filled = 0  # before: one that is inserted and then not waited for must not be again
                self._insert_block(self._block)

    def state(self) -> dict[str, np.ndarray]:
        """The block that is being filled."""
        return {"partial_block": self._block[: self._filled].copy()}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Puts back what `state` gave. Raises ValueError where it doesn't fit a block."""
        partial = arrays["partial_block"]
        self._block[: len(partial)] = partial
        self._filled = len(partial)
