"""TensorFlow Serving's JSON ↔ arrays: rows ("instances" → "predictions") and columns ("inputs" → "outputs").

Strict where a policy would answer nonsense: exact names, shapes and kinds of number, nothing that is not finite.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tfdqn.serving.model import Arrays, Input, Model, Signature

DEFAULT_SIGNATURE = "serving_default"


class RequestError(Exception):
    """What a client did wrong, for its eyes, and the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


class Question(NamedTuple):
    """A parsed request.

    Attributes:
      signature: the function that it is for.
      inputs: in the signature's dtypes, each [B, …] where the signature is batched.
      in_rows: whether it came in rows, and is answered so.
    """

    signature: Signature
    inputs: Arrays
    in_rows: bool


def parse(body: bytes, model: Model) -> Question:
    """Raises RequestError for anything that is not a request of this model."""
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"JSON Parse error: {error}") from error
    if not isinstance(given, dict):
        raise RequestError("JSON Value is not an object")
    name = given.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise RequestError("'signature_name' value is not a string")
    signature = model.signatures.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise RequestError(f'Serving signature name: "{name}" not found in signature def')
    if ("instances" in given) == ("inputs" in given):
        found = "both" if "inputs" in given else "neither"
        raise RequestError(f"either 'instances' (rows) or 'inputs' (columns) is needed; given: {found}")
    in_rows = "instances" in given
    if in_rows:
        if not signature.is_batched:
            raise RequestError(f"\"{name}\" has no batch axis: it takes 'inputs' only")
        columns = _columns_of(given["instances"], signature)
    else:
        columns = _named(given["inputs"], signature, "inputs")
    inputs = {key: _array(key, columns[key], expected) for key, expected in signature.inputs.items()}
    if signature.is_batched:
        _check_batch(inputs)
    return Question(signature, inputs, in_rows)


def answer(outputs: Arrays, in_rows: bool) -> bytes:
    """The response's JSON; a single output goes without its name."""
    columns = {name: array.tolist() for name, array in outputs.items()}
    body: dict[str, Any]
    if in_rows:
        rows = zip(*columns.values(), strict=True)
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        body = {"predictions": named if len(columns) > 1 else next(iter(columns.values()))}
    else:
        body = {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    if all(array.dtype.kind != "f" or np.isfinite(array).all() for array in outputs.values()):
        return msgspec.json.encode(body)
    return json.dumps(body).encode()  # with NaN and Infinity as TensorFlow Serving writes them


def _columns_of(instances: Any, signature: Signature) -> Mapping[str, Any]:
    if not isinstance(instances, list):
        raise RequestError("'instances' value is not an array")
    if not instances:
        raise RequestError("'instances' value is empty")
    rows = [_named(each, signature, f"instances[{index}]") for index, each in enumerate(instances)]
    return {name: [row[name] for row in rows] for name in signature.inputs}


def _named(value: Any, signature: Signature, where: str) -> Mapping[str, Any]:
    """By name; what is given without names is the only input's."""
    names = signature.inputs.keys()
    if not isinstance(value, dict):
        if len(names) == 1:
            return {next(iter(names)): value}
        raise RequestError(f"'{where}' is not an object with {', '.join(sorted(names))}")
    if value.keys() != names:
        raise RequestError(
            f"'{where}' has {', '.join(sorted(value)) or 'nothing'}; needed: {', '.join(sorted(names))}"
        )
    return value


def _array(name: str, value: Any, expected: Input) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise RequestError(f"{name}: not an array of one shape") from error
    wanted = expected.dtype
    if array.size and not _fits(array, wanted):
        raise RequestError(f"{name}: {_describe(array)} does not fit {wanted}")
    if not _matches(array.shape, expected.shape):
        shape = ["any" if each is None else each for each in expected.shape or ()]
        raise RequestError(f"{name}: shape {list(array.shape)} given, {shape} needed".replace("'", ""))
    with np.errstate(over="ignore"):
        array = array.astype(wanted)
    if wanted.kind == "f" and not np.isfinite(array).all():
        raise RequestError(f"{name}: a number is not finite in {wanted}")
    return array


def _fits(array: np.ndarray, wanted: np.dtype) -> bool:
    """Whole numbers for whole ones, in their range; any numbers for real ones; true and false for bool."""
    if wanted.kind in "iu" and array.dtype.kind in "iu":
        limits = np.iinfo(wanted)
        return bool(limits.min <= array.min() and array.max() <= limits.max)
    kinds = {"f": "iuf", "b": "b"}.get(wanted.kind, "")
    return array.dtype.kind in kinds


def _matches(shape: tuple[int, ...], expected: tuple[int | None, ...] | None) -> bool:
    if expected is None:
        return True
    return len(shape) == len(expected) and all(
        want is None or have == want for have, want in zip(shape, expected, strict=True)
    )


def _check_batch(inputs: Arrays) -> None:
    lengths = {name: len(array) for name, array in inputs.items()}
    if len(set(lengths.values())) > 1:
        raise RequestError(f"one batch size for all inputs is needed; got {lengths}".replace("'", ""))
    if 0 in lengths.values():
        raise RequestError("the batch is empty")


def _describe(array: np.ndarray) -> str:
    kinds = {"O": "a mixture", "U": "text", "b": "true and false", "f": "real numbers"}
    return kinds.get(array.dtype.kind, str(array.dtype))
