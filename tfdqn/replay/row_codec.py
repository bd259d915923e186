"""`RowCodec`: named arrays ↔ rows of bytes: NumPy structured arrays on the way in, one uint8 tensor on the way out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np
import tensorflow as tf

Field = tuple[str, np.dtype, tuple[int, ...]]  # name, dtype and shape


class _Place(NamedTuple):
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int  # bytes from the start of a row


class RowCodec:
    """The layout of some fields as a row of bytes.

    Wide types come first and equal ones lie side by side, so every number is aligned and one bitcast decodes all
    fields of a type.
    """

    def __init__(self, fields: Iterable[Field]):
        in_order = sorted(fields, key=lambda field: (-field[1].itemsize, field[1].str))
        self.dtype = np.dtype(in_order, align=True)
        self.row_bytes = self.dtype.itemsize

    def empty(self, *shape: int) -> np.ndarray:
        """Rows of zeros, structured, of the given shape."""
        return np.zeros(shape, self.dtype)

    def to_bytes(self, rows: np.ndarray) -> np.ndarray:
        """Structured [N] → uint8[N, row_bytes], the same memory."""
        return rows.view(np.uint8).reshape(len(rows), self.row_bytes)

    def from_bytes(self, rows: np.ndarray) -> np.ndarray:
        """uint8[N, row_bytes] → structured [N], the same memory where it is contiguous."""
        return np.ascontiguousarray(rows).view(self.dtype).reshape(len(rows))

    def fields(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """uint8[N, row_bytes] → every field by name, [N, …] each; in the graph."""
        fields: dict[str, tf.Tensor] = {}
        for dtype, run in groupby(self._places(), key=lambda place: place.dtype):
            places = list(run)
            start, last = places[0].offset, places[-1]
            stop = last.offset + _size(last.shape) * dtype.itemsize
            values = _bitcast(rows[:, start:stop], dtype)
            for place in places:
                first = (place.offset - start) // dtype.itemsize
                flat = values[:, first : first + _size(place.shape)]
                fields[place.name] = tf.reshape(flat, (_length(rows), *place.shape))
        return fields

    def _places(self) -> Iterator[_Place]:
        assert self.dtype.fields is not None
        for name, (dtype, offset, *_) in self.dtype.fields.items():
            yield _Place(name, dtype.base, dtype.shape, offset)


def _bitcast(columns: tf.Tensor, dtype: np.dtype) -> tf.Tensor:
    """uint8[N, bytes] → dtype[N, bytes / itemsize]."""
    if dtype == np.bool_:
        return tf.cast(columns, tf.bool)
    if dtype.itemsize > 1:
        columns = tf.reshape(columns, (_length(columns), -1, dtype.itemsize))
    return tf.bitcast(columns, tf.as_dtype(dtype))


def _length(rows: tf.Tensor) -> int | tf.Tensor:
    return rows.shape[0] if rows.shape[0] is not None else tf.shape(rows)[0]


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
