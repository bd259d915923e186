"""`Model`: one version of a SavedModel in memory, its signatures as they are served."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

Arrays = dict[str, np.ndarray]


class Input(NamedTuple):
    """One named input; None stands for a dimension of any length, in the shape or for the whole of it."""

    dtype: np.dtype
    shape: tuple[int | None, ...] | None

    @property
    def row_shape(self) -> tuple[int, ...] | None:
        """Without the batch axis; none where another axis is of any length."""
        sizes = [size for size in (self.shape or ())[1:] if size is not None]
        return tuple(sizes) if self.shape and len(sizes) == len(self.shape) - 1 else None


class Signature(NamedTuple):
    """One function of a SavedModel.

    Attributes:
      call: named arrays → named arrays.
      inputs: what it takes.
      is_batched: whether every input and output has a first axis of any length, along which requests are joined.
    """

    call: Callable[[Arrays], Arrays]
    inputs: Mapping[str, Input]
    is_batched: bool


class Model:
    """A loaded version. Raises what TensorFlow raises of a damaged one: any Exception.

    Attributes:
      version: its number.
      signatures: by name.
      signature_defs: the same as the SavedModel's own protocol buffers, as JSON.
    """

    def __init__(self, path: Path, version: int):
        self.version = version
        # Kept: its functions hold their variables weakly.
        self._module = tf.saved_model.load(str(path), tags="serve")
        self.signatures = {name: _signature(each) for name, each in self._module.signatures.items()}
        self.signature_defs = _signature_defs(path)
        for each in self.signatures.values():
            _warm_up(each)


def _signature(function: Any) -> Signature:
    def call(inputs: Arrays) -> Arrays:
        outputs = function(**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    specs = function.structured_input_signature[1]
    shapes = [each.shape for each in (*specs.values(), *function.structured_outputs.values())]
    is_batched = all(each.rank is not None and each.rank > 0 and each[0] is None for each in shapes)
    inputs = {
        name: Input(
            np.dtype(spec.dtype.as_numpy_dtype), None if spec.shape.rank is None else tuple(spec.shape)
        )
        for name, spec in specs.items()
    }
    return Signature(call, inputs, is_batched)


def _signature_defs(path: Path) -> dict[str, Any]:
    saved = SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (served,) = [graph for graph in saved.meta_graphs if "serve" in graph.meta_info_def.tags]
    return {
        name: json_format.MessageToDict(
            each, preserving_proto_field_name=True, including_default_value_fields=True
        )
        for name, each in served.signature_def.items()
    }


def _warm_up(signature: Signature) -> None:
    """One call, so that no client waits for TensorFlow's first, and a version that can't be run isn't served."""
    rows = {name: (each.row_shape, each.dtype) for name, each in signature.inputs.items()}
    zeros = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in rows.items() if shape is not None}
    if signature.is_batched and len(zeros) == len(rows):
        signature.call(zeros)
