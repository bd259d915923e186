"""The formats of an exported policy: a SavedModel, and the files that are converted from it.

tf2onnx converts to ONNX, TensorFlow's own converter to TFLite. Each file has the same inputs and outputs, by name, as
the SavedModel. The next format needs a member of `ModelFormat`, its converter's command in `_arguments`, and the
reading of its inputs and outputs in `_converted_names`. TensorFlow is imported only to convert, so that the command
line can list the formats without it.
"""

import os
import subprocess
import sys
from collections.abc import Collection
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from tfdqn.errors import UserError, of_type
from tfdqn.exporting.versions import DEFAULT_SIGNATURE, MODEL_FILE
from tfdqn.system.shell_commands import install_extra
from tfdqn.system.subprocesses import last_error, run_captured

_ONNX_OPSET = "17"
_PATIENCE_SECONDS = 900.0


class ModelFormat(StrEnum):
    """A format, by the name that users type."""

    savedmodel = "savedmodel"
    onnx = "onnx"
    tflite = "tflite"

    @property
    def file(self) -> str:
        """The name of its file in a version's folder."""
        return MODEL_FILE if self is ModelFormat.savedmodel else f"policy.{self}"


def parse_formats(formats: Collection[str]) -> list[ModelFormat]:
    """The formats of these names. Raises UserError for an unknown one, or one whose converter is not installed."""
    if isinstance(formats, str):
        raise UserError(f"formats must be a list of names, such as [{formats!r}], not one string")
    if not isinstance(formats, Collection):
        raise UserError(f"formats must be a list of names, such as ['onnx']; the argument is {of_type(formats)}")
    for each in formats:
        if each not in list(ModelFormat):
            raise UserError(f'format "{each}": allowed are {", ".join(ModelFormat)}')
    if ModelFormat.onnx in formats and find_spec("tf2onnx") is None:
        raise UserError(f"ONNX needs tf2onnx, which is not installed: {install_extra('onnx')}")
    return [ModelFormat(each) for each in formats]


def convert(version: Path, formats: Collection[ModelFormat]) -> None:
    """Converts the SavedModel in a version's folder to `formats`, and writes their files beside it.

    Raises UserError, with the reason in one line, if this policy can't be converted to one of them.
    """
    for each in formats:
        if each is not ModelFormat.savedmodel:
            _convert(version, each, *_served_names(version))


def formats_in(version: Path) -> dict[ModelFormat, str]:
    """The formats that a version's folder holds, each with the name of its file."""
    return {each: each.file for each in ModelFormat if (version / each.file).is_file()}


def _convert(version: Path, format: ModelFormat, inputs: list[str], outputs: list[str]) -> None:
    if format is ModelFormat.onnx and (twice := set(inputs) & set(outputs)):
        raise UserError(f"onnx: an input and an output can't both be called {' or '.join(sorted(twice))}")
    file = version / format.file
    _run_converter(format, _arguments(version, file, format))
    if not file.is_file() or _converted_names(file, format) != (inputs, outputs):
        raise UserError(f"{format}: the converter has changed or lost some of the policy's inputs and outputs")


def _arguments(version: Path, file: Path, format: ModelFormat) -> list[str]:
    """Python's arguments that convert the SavedModel in `version` to `file`."""
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
    """Runs a converter in a subprocess, since it prints warnings of its own and would claim a GPU's whole memory."""
    try:
        command = [sys.executable, "-P", *arguments]  # -P: a user's file here called onnx.py must not be imported
        done = run_captured(command, _PATIENCE_SECONDS, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    except subprocess.TimeoutExpired:
        raise UserError(f"{format}: the conversion took longer than {_PATIENCE_SECONDS:.0f} s") from None
    if done.returncode:
        raise UserError(f"{format}: this policy can't be converted ({last_error(done)})")


def _served_names(version: Path) -> tuple[list[str], list[str]]:
    """The names of the SavedModel's inputs, sorted, and of its outputs, sorted."""
    from tfdqn.exporting.saved_model import signature_in

    signature = signature_in(version)
    return sorted(signature.inputs), sorted(signature.outputs)


def _converted_names(file: Path, format: ModelFormat) -> tuple[list[str], list[str]]:
    """The names of a converted file's inputs, sorted, and of its outputs, sorted."""
    if format is ModelFormat.onnx:
        import onnx

        graph = onnx.load(file).graph
        return sorted(each.name for each in graph.input), sorted(each.name for each in graph.output)
    import tensorflow as tf

    signature = tf.lite.Interpreter(str(file)).get_signature_list()[DEFAULT_SIGNATURE]
    return sorted(signature["inputs"]), sorted(signature["outputs"])
