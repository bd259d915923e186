"""The formats in which a policy is exported: the file of each, and what must be installed for it."""

from collections.abc import Collection
from enum import StrEnum
from importlib.util import find_spec

from tfdqn.errors import UserError


class ModelFormat(StrEnum):
    """By the name that users give it."""

    savedmodel = "savedmodel"
    onnx = "onnx"
    tflite = "tflite"

    @property
    def file(self) -> str:
        """Its name in a version's folder."""
        return "saved_model.pb" if self is ModelFormat.savedmodel else f"policy.{self}"


def convertible(formats: Collection[str]) -> list[ModelFormat]:
    """Raises UserError for a format that there is not, or whose converter is not installed."""
    for each in formats:
        if each not in list(ModelFormat):
            raise UserError(f'format "{each}": allowed are {", ".join(ModelFormat)}')
    if ModelFormat.onnx in formats and find_spec("tf2onnx") is None:
        raise UserError(
            "ONNX needs tf2onnx, which is not installed: pip install tf2onnx==1.17.0 onnx==1.17.0"
        )
    return [ModelFormat(each) for each in formats]
