"""`signature_in`: the names, types and shapes of what an exported policy takes and returns, read off its SavedModel."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from msgspec import Struct
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tfdqn.exporting.versions import DEFAULT_SIGNATURE, MODEL_FILE


class Tensor(Struct, frozen=True):
    """The type and shape of an input or an output."""

    dtype: str  # a NumPy name
    shape: tuple[int, ...]  # -1: of any length, as the first axis, the batch

    @property
    def in_words(self) -> str:
        """Such as "float32[B, 4]"."""
        return f"{self.dtype}[{', '.join('B' if each < 0 else str(each) for each in self.shape)}]"


class PolicySignature(Struct, frozen=True):
    """The inputs and outputs of a policy by name, which its files of every format have."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def signature_in(version: Path) -> PolicySignature:
    """The signature by which the SavedModel in a version's folder is served."""
    served = signature_defs(version)[DEFAULT_SIGNATURE]
    return PolicySignature(_tensors(served.inputs), _tensors(served.outputs))


def signature_defs(version: Path) -> Mapping[str, Any]:
    """The signatures of the SavedModel in a version's folder, by name, as its own protocol buffers (`SignatureDef`)."""
    saved = SavedModel.FromString((version / MODEL_FILE).read_bytes())
    (served,) = [graph for graph in saved.meta_graphs if "serve" in graph.meta_info_def.tags]
    return dict(served.signature_def)


def _tensors(infos: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name: Tensor(tf.as_dtype(each.dtype).name, tuple(axis.size for axis in each.tensor_shape.dim))
        for name, each in sorted(infos.items())
    }
