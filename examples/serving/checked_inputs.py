"""Inputs for a policy, checked against its signature before they are sent: what is wrong is one line."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef, TensorInfo

SIGNATURE = "serving_default"


class InputError(ValueError):
    """What can't be asked, in one line."""


def parsed(text: str) -> Any:
    """What JSON says. Raises InputError for what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"no JSON: {error}") from error


def checked_inputs(given: Any, signature: SignatureDef) -> dict[str, np.ndarray]:
    """Named columns, each with a row for each state, as the arrays that a policy takes. Raises InputError."""
    needed = ", ".join(f"{name} {_described(info)}" for name, info in sorted(signature.inputs.items()))
    if not isinstance(given, Mapping):
        raise InputError(f"a JSON object is needed, of {needed}")
    if given.keys() != signature.inputs.keys():
        raise InputError(f"needed: {needed}; given: {', '.join(map(str, given)) or 'nothing'}")
    arrays = {name: _checked(name, given[name], info) for name, info in signature.inputs.items()}
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1 or 0 in sizes.values():
        rows = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise InputError(f"as many rows of each input are needed, and at least one; given: {rows}")
    return arrays


def _checked(name: str, value: Any, info: TensorInfo) -> np.ndarray:
    wanted = np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype)
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name}: its rows differ in shape") from None
    if array.dtype.kind not in ("b" if wanted.kind == "b" else "iuf" if wanted.kind == "f" else "iu"):
        raise InputError(f"{name}: {_described(info)} is needed, not {array.dtype}")
    shape = [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]
    fits = len(shape) == array.ndim and all(one in (None, two) for one, two in zip(shape, array.shape, strict=True))
    if not fits:
        raise InputError(f"{name}: {_described(info)} is needed, not a shape of {list(array.shape)}")
    with np.errstate(over="ignore"):
        converted = array.astype(wanted)
    if not np.isfinite(converted).all() or (wanted.kind in "iu" and not (converted == array).all()):
        raise InputError(f"{name}: a number does not fit {wanted}")
    return converted


def _described(info: TensorInfo) -> str:
    sizes = ", ".join("any" if dim.size < 0 else str(dim.size) for dim in info.tensor_shape.dim)
    return f"{tf.as_dtype(info.dtype).name}[{sizes}]"
