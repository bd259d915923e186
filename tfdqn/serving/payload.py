"""TensorFlow Serving's JSON ↔ arrays: rows ("instances" → "predictions") and columns ("inputs" → "outputs").

It is strict, because a policy answers wrong inputs with nonsense: names, shapes and kinds of number must be exact, no
key may occur twice, and every value must be one that the task can give.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Raw

from tfdqn.errors import UserError
from tfdqn.exporting.versions import DEFAULT_SIGNATURE
from tfdqn.serving.model import Model, Signature
from tfdqn.serving.wording import in_words, malformed
from tfdqn.system.json_objects import JsonError, loads_once
from tfdqn.types import Arrays

MOST_ROWS = 16_384  # of one request
_AT_ONCE_ROWS = 1024  # encoded in one call, which blocks every other thread
_UNCOUNTED_BYTES = 2**15  # a body of this size is too short to hold too many numbers


class RequestError(Exception):
    """A client's mistake: a message for the client, and the HTTP status."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


class PredictRequest(NamedTuple):
    """A parsed request."""

    signature: Signature
    inputs: Arrays  # in the signature's dtypes, each [B, …] where the signature is batched
    write: Callable[[Arrays], bytes]  # the function's outputs → the answer's JSON, in the same form as the request

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values()))) if self.signature.is_batched and self.inputs else 1


_NOTHING = Raw()


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    signature_name: str = DEFAULT_SIGNATURE
    instances: Raw = _NOTHING
    inputs: Raw = _NOTHING


_request = msgspec.json.Decoder(_Request)


def parse(body: bytes | bytearray, model: Model) -> PredictRequest:
    """Reads a prediction request. Raises RequestError if this model can't answer it."""
    given = _top(body)
    name = given.signature_name or DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise RequestError(f'Serving signature name: "{name}" not found in signature def')
    check_size(body, signature)
    in_rows = given.instances is not _NOTHING
    try:
        if not in_rows:
            inputs = signature.reader.columns(given.inputs, "inputs")
        elif signature.is_batched:
            inputs = signature.reader.rows(given.instances, "instances")
        else:
            raise RequestError(f"\"{name}\" has no batch axis: it takes 'inputs' only")
        request = PredictRequest(signature, inputs, partial(answer, in_rows=in_rows))
        each_row = request.rows if in_rows else 1
        check_values(request)
        check_keys(body, {"instances": 1, "inputs": 1, "signature_name": 1} | dict.fromkeys(inputs, each_row))
    except UserError as error:
        raise RequestError(f"{error}{_taken(signature, str(error))}") from error
    return request


def _taken(signature: Signature, problem: str) -> str:
    """The end of a message about missing or unknown inputs: what the signature takes; "" for other problems."""
    missing = re.search(r"missing required field `(.+)`", problem)
    given = signature.inputs.get(missing[1]) if missing and signature.is_batched else None
    if given is not None and given.row_shape is not None:
        return f", which is {given.dtype}{list(given.row_shape)} for each row"
    is_unnamed = any(each in problem for each in ("unknown field", "needs an object"))
    return f"; the inputs are {', '.join(signature.inputs)}" if is_unnamed else ""


def answer(outputs: Arrays, in_rows: bool) -> bytes:
    """The response's JSON; a single output has no name. Floats must be finite."""
    if in_rows:
        parts = b",".join(msgspec.json.encode(each)[1:-1] for each in _rows_of(outputs))
        return b'{"predictions":[' + parts + b"]}"
    columns = {name: as_list(array) for name, array in outputs.items()}
    if len(columns) == 1:
        return b'{"outputs":' + next(iter(columns.values())) + b"}"
    named = b",".join(msgspec.json.encode(name) + b":" + text for name, text in columns.items())
    return b'{"outputs":{' + named + b"}}"


def _top(body: bytes | bytearray) -> _Request:
    try:
        given = _request.decode(body)
    except msgspec.ValidationError as error:
        taken = "a request has 'instances' or 'inputs', and 'signature_name' if need be"
        raise RequestError(f"{in_words(error, body)}; {taken}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(malformed(error, body)) from error
    if (given.instances is _NOTHING) == (given.inputs is _NOTHING):
        found = "neither" if given.inputs is _NOTHING else "both"
        raise RequestError(f"either 'instances' (rows) or 'inputs' (columns) is needed; given: {found}")
    return given


def check_size(body: bytes | bytearray, signature: Signature) -> None:
    """Raises RequestError for too many numbers, before decoding: Python takes dozens of bytes for each."""
    most = signature.reader.most_numbers(MOST_ROWS)
    if len(body) > _UNCOUNTED_BYTES and most is not None and body.count(b",") > most:
        raise RequestError(f"more numbers than {MOST_ROWS:,} rows have, the most of one request", 413)


def check_values(request: PredictRequest) -> None:
    """Raises RequestError for a wrong batch, and UserError for values that the task can't give."""
    if request.signature.is_batched:
        lengths = {name: len(array) for name, array in request.inputs.items()}
        if len(set(lengths.values())) > 1:
            raise RequestError(f"one batch size for all inputs is needed; got {lengths}".replace("'", ""))
        if 0 in lengths.values():
            raise RequestError("the batch is empty")
        if request.rows > MOST_ROWS:
            raise RequestError(f"{request.rows:,} rows; a request may have {MOST_ROWS:,}", 413)
    request.signature.check(request.inputs)


def check_keys(body: bytes | bytearray, allowed: Mapping[str, int]) -> None:
    """Raises RequestError if an object has a key twice: msgspec would take the last.

    The body is parsed again, in Python, only if a key occurs more often than `allowed`, or may be spelled with escapes.
    """
    is_escaped = b"\\" in body  # which numbers never are
    if is_escaped or any(body.count(b'"%b"' % name.encode()) > times for name, times in allowed.items()):
        try:
            loads_once(body)
        except JsonError as error:  # also of text that is not UTF-8, where msgspec passed over it
            raise RequestError(str(error)) from None


def _rows_of(outputs: Arrays) -> Iterator[list[Any]]:
    """The rows to encode, some at a time."""
    names = list(outputs)
    for start in range(0, len(outputs[names[0]]), _AT_ONCE_ROWS):
        columns = [outputs[name][start : start + _AT_ONCE_ROWS].tolist() for name in names]
        if len(names) == 1:
            yield columns[0]
        else:
            yield [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def as_list(array: np.ndarray) -> bytes:
    """An array as JSON, encoded some elements at a time. Floats must be finite."""
    if array.ndim == 0 or len(array) <= _AT_ONCE_ROWS:
        return msgspec.json.encode(array.tolist())
    parts = np.split(array, range(_AT_ONCE_ROWS, len(array), _AT_ONCE_ROWS))
    return b"[" + b",".join(msgspec.json.encode(each.tolist())[1:-1] for each in parts) + b"]"
