"""The formats in which a policy is exported: a SavedModel, and what is converted from it, with the same names.

ONNX comes by tf2onnx, TFLite by TensorFlow's own converter. The next format is a `ModelFormat` with its converter's
arguments and its reader of names. TensorFlow is imported when something is converted: the command line knows the names.
"""

import os
import subprocess
import sys
from collections.abc import Collection
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from tfdqn.errors import UserError
from tfdqn.exporting.versions import DEFAULT_SIGNATURE, MODEL_FILE
from tfdqn.system.shell_commands import install_extra

_ONNX_OPSET = "17"
_PATIENCE_SECONDS = 900.0


class ModelFormat(StrEnum):
    """By the name that users give it."""

    savedmodel = "savedmodel"
    onnx = "onnx"
    tflite = "tflite"

    @property
    def file(self) -> str:
        """Its name in a version's folder."""
        return MODEL_FILE if self is ModelFormat.savedmodel else f"policy.{self}"


def parse_formats(formats: Collection[str]) -> list[ModelFormat]:
    """Raises UserError for a format that there is not, or whose converter is not installed."""
    for each in formats:
        if each not in list(ModelFormat):
            raise UserError(f'format "{each}": allowed are {", ".join(ModelFormat)}')
    if ModelFormat.onnx in formats and find_spec("tf2onnx") is None:
        raise UserError(f"ONNX needs tf2onnx, which is not installed: {install_extra('onnx')}")
    return [ModelFormat(each) for each in formats]


def convert(version: Path, formats: Collection[ModelFormat]) -> None:
    """Writes the files of `formats` to a version's folder; its SavedModel is there already.

    Raises UserError if a policy can't be had in a format, with the reason in one line.
    """
    for each in formats:
        if each is not ModelFormat.savedmodel:
            _convert(version, each, *_served_names(version))


def formats_in(version: Path) -> dict[ModelFormat, str]:
    """Which formats a version's folder has, and the name of each one's file."""
    return {each: each.file for each in ModelFormat if (version / each.file).is_file()}


def _convert(version: Path, format: ModelFormat, inputs: list[str], outputs: list[str]) -> None:
    if format is ModelFormat.onnx and (twice := set(inputs) & set(outputs)):
        raise UserError(f"onnx: an input and an output can't both be called {' or '.join(sorted(twice))}")
    file = version / format.file
    _run_converter(format, _arguments(version, file, format))
    if not file.is_file() or _converted_names(file, format) != (inputs, outputs):
        raise UserError(f"{format}: the converter has not kept the policy's inputs and outputs")


def _arguments(version: Path, file: Path, format: ModelFormat) -> list[str]:
    if format is ModelFormat.onnx:
        return [
            *("-m", "tf2onnx.convert", "--saved-model", str(version), "--output", str(file)),
            *("--opset", _ONNX_OPSET, "--tag", "serve", "--signature_def", DEFAULT_SIGNATURE),
        ]
    return [
        *("-m", "tensorflow.lite.python.tflite_convert", f"--saved_model_dir={version}"),
        *(f"--output_file={file}", f"--saved_model_signature_key={DEFAULT_SIGNATURE}"),
    ]


def _run_converter(format: ModelFormat, arguments: list[str]) -> None:
    """In a process of its own: a converter prints what only its authors can read, and may take a GPU whole."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", *arguments],  # no file of the user's in this directory is a converter's
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE_SECONDS,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{format}: not converted within {_PATIENCE_SECONDS:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise UserError(f"{format}: this policy can't be converted ({last})")


def _served_names(version: Path) -> tuple[list[str], list[str]]:
    """The SavedModel's inputs and outputs, each sorted."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(version)).signatures[DEFAULT_SIGNATURE]
    return sorted(signature.structured_input_signature[1]), sorted(signature.structured_outputs)


def _converted_names(file: Path, format: ModelFormat) -> tuple[list[str], list[str]]:
    if format is ModelFormat.onnx:
        import onnx

        graph = onnx.load(file).graph
        return sorted(each.name for each in graph.input), sorted(each.name for each in graph.output)
    import tensorflow as tf

    signature = tf.lite.Interpreter(str(file)).get_signature_list()[DEFAULT_SIGNATURE]
    return sorted(signature["inputs"]), sorted(signature["outputs"])
