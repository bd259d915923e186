"""ONNX and TFLite beside the SavedModel: named as its signature names them, whole or not there at all."""

import json
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from gymnasium import spaces

from tests.support.policies import BOX, DISCRETE, network_of, observations, task
from tfdqn.config import MLP, Task
from tfdqn.errors import UserError
from tfdqn.exporting import formats
from tfdqn.exporting.formats import ModelFormat, convert, parse_formats
from tfdqn.exporting.from_run import export_run
from tfdqn.exporting.saved_model import export_policy, signature_in
from tfdqn.storage.run_directory import RunDir
from tfdqn.tasks.adapters.actions import action_spec

BOTH = [ModelFormat.onnx, ModelFormat.tflite]


def test_parts_masks_a_memory_and_a_grid_have_their_names_and_values_in_each_format(tmp_path: Path) -> None:
    grid = action_spec(spaces.Box(np.float32([-1, 0, 2]), np.float32([1, 5, 2])), Task(action_bins=(3, 4, 9)))
    spec = msgspec.structs.replace(task(masks=True, position=BOX, cell=DISCRETE), actions=grid)
    network = network_of(spec, MLP(hidden_units=(6,), memory="lstm", memory_units=4))
    rng = np.random.default_rng(1)
    network.load_named_weights({name: rng.normal(size=each.shape) for name, each in network.named_weights().items()})
    version = export_policy(spec, network, tmp_path, {}, add=lambda path: convert(path, BOTH))
    inputs = observations(spec, 50) | {"policy_state": rng.normal(size=(50, 8)).astype(np.float32)}
    legal = rng.random((50, 12)) < 0.5
    legal[:, 2] |= ~legal.any(axis=1)
    inputs["legal_actions"] = legal
    module = tf.saved_model.load(str(version))
    served = module.signatures["serving_default"](**{key: tf.constant(each) for key, each in inputs.items()})

    signature = signature_in(version)
    session = onnxruntime.InferenceSession(version / "policy.onnx")
    assert {each.name: len(each.shape) for each in session.get_inputs()} == {
        name: len(each.shape) for name, each in signature.inputs.items()
    }
    assert signature.inputs.keys() == inputs.keys()
    outputs = [each.name for each in session.get_outputs()]
    onnx = dict(zip(outputs, session.run(outputs, inputs), strict=True))
    tflite = tf.lite.Interpreter(str(version / "policy.tflite")).get_signature_runner("serving_default")
    for details, tensors in (
        (tflite.get_input_details(), signature.inputs),
        (tflite.get_output_details(), signature.outputs),
    ):
        assert {name: np.dtype(each["dtype"]).name for name, each in details.items()} == {
            name: each.dtype for name, each in tensors.items()
        }
    for found in (onnx, tflite(**inputs)):
        assert found.keys() == served.keys()
        for key, each in found.items():
            assert (each.dtype.name, each.shape[1:]) == (signature.outputs[key].dtype, signature.outputs[key].shape[1:])
        for key in ("action", "environment_action"):
            np.testing.assert_array_equal(found[key], served[key])
        for key in ("q_values", "next_policy_state"):
            np.testing.assert_allclose(found[key], served[key], rtol=1e-4, atol=1e-5)
    assert len(np.unique(served["action"])) > 3


def test_a_run_is_exported_in_a_format_and_its_card_says_so(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(version: Path, format: ModelFormat, *names: list[str]) -> None:
        (version / format.file).write_bytes(b"a model")

    monkeypatch.setattr(formats, "_convert", convert)
    version = export_run(run.path, formats=["tflite"])
    assert {each.name for each in run.exports.iterdir()} == {"1", "models.config", "batching.config"}
    assert (version / "policy.tflite").stat().st_size > 0
    card = json.loads((version / "model_card.json").read_text())
    assert card["formats"] == {"savedmodel": "saved_model.pb", "tflite": "policy.tflite"}
    page = (version / "model_card.md").read_text()
    assert "| formats | savedmodel (`saved_model.pb`), tflite (`policy.tflite`) |" in page


def test_where_a_policy_cannot_be_converted_there_is_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = task(action=BOX, velocity=BOX)

    def export() -> None:
        export_policy(spec, network_of(spec), tmp_path, {}, add=lambda path: convert(path, BOTH))

    with pytest.raises(UserError, match=r"onnx: an input and an output can't both be called action$"):
        export()
    spec = task()
    monkeypatch.setattr(formats, "_arguments", lambda *_: ["-c", "raise SystemExit('TraceError\\nan odd operation')"])
    with pytest.raises(UserError, match=r"onnx: this policy can't be converted \(an odd operation\)$"):
        export()
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_other_names_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_run_converter", lambda format, arguments: None)
    version = export_policy(task(), network_of(task()), tmp_path, {})
    with pytest.raises(UserError, match="tflite: the converter has changed or lost"):
        convert(version, [ModelFormat.tflite])
    (version / "policy.tflite").write_bytes(b"")
    monkeypatch.setattr(formats, "_converted_names", lambda file, format: (["x"], ["action", "q_values"]))
    with pytest.raises(UserError, match="tflite: the converter has changed or lost"):
        convert(version, [ModelFormat.tflite])


def test_a_format_that_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match=r"^formats must be a list of names, such as \['tflite'\], not one string$"):
        parse_formats("tflite")
    with pytest.raises(UserError, match=r"^formats must be a list of names, such as .*; the argument is None$"):
        parse_formats(None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r'format "keras": allowed are savedmodel, onnx, tflite'):
        parse_formats(["onnx", "keras"])
