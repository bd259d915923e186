"""Reads a signature's inputs from JSON; strict about names, shapes and kinds of number."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Raw

from tfdqn.errors import UserError
from tfdqn.exporting.policy_inputs import in_dtype
from tfdqn.serving.wording import in_words

_AT_ONCE_BYTES = 2**16  # of JSON, decoded in one call, which blocks every other thread
_DATATYPES = {"bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64"}
_BEGINS_WITH_OBJECT = re.compile(rb"\[\s*\{")
_BEGINS_WITH_LIST = re.compile(rb"\[\s*\[")
_BETWEEN_OBJECTS = re.compile(rb"\}\s*(,)\s*\{")


class Input(NamedTuple):
    """One named input or output. None in the shape is a dimension of any length; None as the shape, any shape."""

    dtype: np.dtype
    shape: tuple[int | None, ...] | None

    @property
    def row_shape(self) -> tuple[int, ...] | None:
        """The shape without the batch axis; None if another axis is of any length."""
        sizes = [size for size in (self.shape or ())[1:] if size is not None]
        return tuple(sizes) if self.shape and len(sizes) == len(self.shape) - 1 else None

    @property
    def row_numbers(self) -> int | None:
        """How many numbers a row has; None if that is open."""
        return None if self.row_shape is None else math.prod(self.row_shape)


class Reader:
    """Reads one signature's inputs from JSON. Raises UserError if the signature does not take them.

    Large inputs are read some rows at a time. So other threads get their turn, and only these rows take the dozens of
    bytes that each number has in Python.
    """

    def __init__(self, inputs: Mapping[str, Input], is_batched: bool):
        self._refused = [name for name, each in inputs.items() if not _is_read(each)]
        types = {name: _type_of(each, is_batched) for name, each in inputs.items()}
        fields = {f"input_{index}": each for index, each in enumerate(types.values())}
        names = dict(zip(fields, types, strict=True))
        named = msgspec.defstruct("Row", list(fields.items()), rename=names, forbid_unknown_fields=True)
        row: Any = named if len(types) != 1 else next(iter(types.values())) | named
        self._inputs = inputs
        self._is_batched = is_batched
        self._separators = {name: _between_rows(len(each.shape or ()) - 1) for name, each in inputs.items()}
        self._fields = dict(zip(types, fields, strict=True))
        self._named = named
        self._rows = msgspec.json.Decoder(list[row])
        self._columns = {
            name: msgspec.json.Decoder(list[each] if is_batched else each)  # type: ignore[valid-type]
            for name, each in types.items()
        }
        self._numbers = {
            name: msgspec.json.Decoder(list[_number(each.dtype)])  # type: ignore[misc]
            for name, each in inputs.items()
            if _is_read(each)
        }
        raw = [(field, Raw) for field in fields]
        self._by_name = msgspec.json.Decoder(
            msgspec.defstruct("Columns", raw, rename=names, forbid_unknown_fields=True)
        )
        numbers = [each.row_numbers for each in inputs.values()]
        self._most_in_row = sum(each or 0 for each in numbers) + len(numbers) if None not in numbers else None

    def most_numbers(self, rows: int) -> int | None:
        """How many numbers the JSON of so many rows can have at most; None if that is open."""
        return None if self._most_in_row is None else rows * self._most_in_row + len(self._fields) + 8

    def rows(self, text: Raw, where: str) -> dict[str, np.ndarray]:
        """A list of rows → named arrays, each [B, …]. Rows of a single input need not name it."""
        self._check_kinds()
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self._inputs}
        of_name = self._separators[next(iter(self._inputs))] if len(self._inputs) == 1 else _BETWEEN_OBJECTS
        separator = _BETWEEN_OBJECTS if _BEGINS_WITH_OBJECT.match(memoryview(text)) else of_name
        rows = 0
        for part in _read(self._rows, text, where, separator):
            for name, field in self._fields.items():
                cells = [getattr(row, field) if isinstance(row, self._named) else row for row in part]
                parts[name].append(self._array(name, cells, rows))
            rows += len(part)
        return {name: _joined(name, each) for name, each in parts.items()}

    def columns(self, text: Raw, where: str) -> dict[str, np.ndarray]:
        """An object with an array for each name → named arrays. A single input need not be named."""
        self._check_kinds()
        if memoryview(text)[:1] == b"{":
            found = _decoded(self._by_name, text, where)
            texts = {name: getattr(found, field) for name, field in self._fields.items()}
        elif len(self._inputs) == 1:
            texts = {next(iter(self._inputs)): text}
        else:
            raise UserError(f"'{where}' is not an object with {', '.join(sorted(self._inputs))}")
        return {name: self._column(name, each) for name, each in texts.items()}

    def tensor(self, name: str, text: Raw, shape: tuple[int, ...]) -> np.ndarray:
        """One input of the given shape, from its numbers in row-major order or from nested lists."""
        self._check_kinds()
        needed = self._inputs[name].shape or ()
        if len(shape) != len(needed) or any(size not in (None, had) for size, had in zip(needed, shape, strict=True)):
            raise UserError(f"{name}: shape {list(shape)}; expected {self._expected(name)}")
        if _BEGINS_WITH_LIST.match(memoryview(text)):
            found = self._column(name, text)
        else:
            found = self._parts(name, _read(self._numbers[name], text, name, _between_rows(0)), shape)
            if len(found) == math.prod(shape):
                found = found.reshape(shape)
        if found.shape != shape:
            raise UserError(f"{name}: data has shape {list(found.shape)}; its 'shape' is {list(shape)}")
        return found

    def _expected(self, name: str) -> str:
        """The shape that an input needs, in words."""
        sizes = ["any" if size is None else str(size) for size in self._inputs[name].shape or ()]
        if self._is_batched:
            sizes[0] = "N"
        return f"[{', '.join(sizes)}]{' for N rows' if self._is_batched else ''}"

    def _check_kinds(self) -> None:
        for name in self._refused:
            raise UserError(f"{name}: {self._inputs[name].dtype} of shape {self._inputs[name].shape} is not served")

    def _column(self, name: str, text: Raw) -> np.ndarray:
        if not self._is_batched:
            return self._array(name, _decoded(self._columns[name], text, name))
        return self._parts(name, _read(self._columns[name], text, name, self._separators[name]))

    def _parts(self, name: str, read: Iterable[list[Any]], shape: tuple[int, ...] | None = None) -> np.ndarray:
        """The array of one input from the parts of its JSON; `shape` as in `in_dtype`."""
        arrays, first = list[np.ndarray](), 0
        for part in read:
            arrays.append(self._array(name, part, first, shape))
            first += len(part)
        return _joined(name, arrays)

    def _array(self, name: str, values: Any, first: int = 0, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """As `in_dtype`; raises UserError also for lists that differ in length."""
        try:
            return in_dtype(name, values, self._inputs[name].dtype, first, shape)
        except (ValueError, OverflowError) as error:
            raise UserError(f"{name}: not an array of one shape, or a number does not fit") from error


def datatype(dtype: np.dtype) -> str:
    """The name of a dtype in the Open Inference Protocol."""
    return _DATATYPES.get(dtype.name, dtype.name.upper() if dtype.kind in "iu" else "BYTES")


def whole_numbers_of(dtype: np.dtype) -> tuple[int, int]:
    """The lowest and the highest number of an integer dtype that is taken in JSON, where int64 is the widest."""
    limits, widest = np.iinfo(dtype), np.iinfo(np.int64)
    return max(limits.min, widest.min), min(limits.max, widest.max)


def _is_read(given: Input) -> bool:
    return given.shape is not None and given.dtype.kind in "iufb"


def _type_of(given: Input, is_batched: bool) -> Any:
    """The type by which msgspec reads one row, or a whole input without a batch axis."""
    found: Any = _number(given.dtype)
    shape = given.shape or ()
    for size in reversed(shape[1:] if is_batched else shape):
        found = list[found]
        if size is not None:
            found = Annotated[found, Meta(min_length=size, max_length=size)]
    return found


def _number(dtype: np.dtype) -> Any:
    if dtype.kind in "fb":
        return float if dtype.kind == "f" else bool
    low, high = whole_numbers_of(dtype)
    return Annotated[int, Meta(ge=low, le=high)]


def _between_rows(rank: int) -> re.Pattern[bytes]:
    """Its group is the comma between two rows; there is none like it inside a row of this rank.

    It does not begin with blanks: of many in a row, each would begin a search of all after it.
    """
    ends = rb"\]" + rb"\s*\]" * (rank - 1) + rb"\s*" if rank > 0 else b""
    return re.compile(ends + rb"(,)" + rb"\s*\[" * rank)


def _read(decoder: msgspec.json.Decoder, text: Raw, where: str, separator: re.Pattern[bytes]) -> Iterator[list[Any]]:
    """The rows of a list, some at a time."""
    view = memoryview(text)
    if len(view) <= _AT_ONCE_BYTES or view[:1] != b"[":
        yield _decoded(decoder, text, where)
        return
    start, rows, end = 1, 0, len(view) - 1
    while start < end:
        comma = separator.search(view, start + _AT_ONCE_BYTES, end)
        stop = comma.start(1) if comma else end
        part = _decoded(decoder, b"".join([b"[", view[start:stop], b"]"]), where, rows)
        start, rows = stop + 1, rows + len(part)
        yield part


def _decoded(decoder: msgspec.json.Decoder, text: Any, where: str, first_row: int = 0) -> Any:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(in_words(error, text, where, first_row)) from error


def _joined(name: str, parts: list[np.ndarray]) -> np.ndarray:
    try:
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
    except ValueError as error:
        raise UserError(f"{name}: not an array of one shape") from error
