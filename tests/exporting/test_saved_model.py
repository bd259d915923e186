"""A served policy is the network that was exported, in a process that has TensorFlow alone."""

import errno
import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.tools.saved_model_utils import get_meta_graph_def

from tests.support.actions import branches
from tests.support.elsewhere import SAVED_MODEL, ask
from tests.support.policies import BOX, DISCRETE, IMAGE, network_of, observations, task
from tfdqn import config
from tfdqn.errors import RunDirError
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.exporting.saved_model import export_policy, input_signature
from tfdqn.task_spec import ArraySpec, TaskSpec


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        pytest.param(task(), None, id="box"),
        pytest.param(task(observation=DISCRETE), None, id="discrete that starts at 3"),
        pytest.param(task(observation=IMAGE), config.NatureCNN(dense_units=8), id="uint8 frames"),
        pytest.param(task(position=BOX, velocity=ArraySpec(shape=(2, 2), dtype="float64")), None, id="dict"),
        pytest.param(task(masks=True), None, id="masks"),
        pytest.param(task(), config.Linear(features="polynomial"), id="linear"),
    ],
)
def test_a_fresh_process_without_tf_agents_answers_like_the_live_network(spec, settings, tmp_path):
    network = network_of(spec, settings)
    # Weights unlike the initial ones, so that an export of those would show.
    rng = np.random.default_rng(7)
    network.load_named_weights(
        {
            name: rng.normal(size=w.shape, scale=1.0 if name.endswith("kernel") else 0.01)
            for name, w in network.named_weights().items()
        }
    )
    inputs = observations(spec, 1000)
    q_values = np.concatenate(
        [network({k: v[i : i + 200] for k, v in inputs.items()})[0].numpy() for i in range(0, 1000, 200)]
    )
    allowed = np.ones_like(q_values, bool)
    if spec.action_masks:
        allowed = rng.random(q_values.shape) < 0.5
        allowed[:, 1] |= ~allowed.any(axis=1)
        inputs["legal_actions"] = allowed

    served = ask(SAVED_MODEL, export_policy(spec, network, tmp_path / "exports", {}), inputs, tmp_path)

    assert served["q_values"].dtype == np.float32 and served["action"].dtype == np.int32
    np.testing.assert_allclose(served["q_values"], q_values, rtol=1e-4, atol=1e-4)
    best = np.where(allowed, served["q_values"], -np.inf).argmax(axis=1)
    np.testing.assert_array_equal(served["action"], best)
    assert len(np.unique(served["action"])) > 1


def test_a_saved_model_names_its_inputs_and_outputs(tmp_path):
    spec = task(masks=True, position=BOX, picture=IMAGE)
    version = export_policy(spec, network_of(spec), tmp_path, {})
    signature = get_meta_graph_def(str(version), "serve").signature_def["serving_default"]

    def described(tensors):
        return {name: (each.dtype, [axis.size for axis in each.tensor_shape.dim]) for name, each in tensors.items()}

    assert described(signature.inputs) == {
        "position": (tf.float32, [-1, 4]),
        "picture": (tf.uint8, [-1, 2, 40, 37]),
        "legal_actions": (tf.bool, [-1, 3]),
    }
    assert described(signature.outputs) == {"action": (tf.int32, [-1]), "q_values": (tf.float32, [-1, 3])}


def test_masks_of_branching_actions_are_as_wide_as_the_widest():
    spec = msgspec.structs.replace(task(masks=True), actions=branches(2, 5, 3))
    assert input_signature(spec)["legal_actions"].shape == (None, 3, 5)


def test_the_version_says_where_it_comes_from(tmp_path):
    version = export_policy(task(), network_of(task()), tmp_path, {"checkpoint": "best", "env_steps": 12})
    extra = version / "assets.extra"
    assert TaskSpec.from_json((extra / "task_spec.json").read_bytes()) == task()
    card = json.loads((extra / "export.json").read_text())
    assert card["task"] == "Test-v0" and card["checkpoint"] == "best" and card["env_steps"] == 12


def test_a_failed_export_leaves_nothing_at_all(tmp_path):
    with pytest.raises(TypeError):
        export_policy(task(), network_of(task()), tmp_path, {"evaluation": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_version_is_readable_by_all_who_may_read_its_folder(tmp_path):
    version = export_policy(task(), network_of(task()), tmp_path, {})
    (tmp_path / "plain").mkdir()
    assert version.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("name", ["legal_actions", "policy_state"])
def test_a_part_may_have_the_name_of_an_input_that_the_policy_has_not(name, tmp_path):
    spec = task(**{name: BOX})
    network = network_of(spec)
    policy = load_policy(export_policy(spec, network, tmp_path, {}))
    seen = observations(spec, 3)
    np.testing.assert_allclose(policy.q_values(seen), network(seen)[0], rtol=1e-4, atol=1e-5)


def test_the_loaded_module_lists_the_weights_by_canonical_name(tmp_path):
    network = network_of(task())
    loaded = tf.saved_model.load(str(export_policy(task(), network, tmp_path, {})))
    assert set(loaded.weights) == set(network.named_weights())
    np.testing.assert_array_equal(loaded.weights["q/bias"], network.named_weights()["q/bias"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (tf.errors.PermissionDeniedError(None, None, "x/variables; Permission denied"), "Permission denied"),
        (
            tf.errors.ResourceExhaustedError(None, None, "x/1; No space left on device\nat:"),
            "the disk is full: make room",
        ),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the disk is full: make room"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "Permission denied"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_where_no_version_can_be_written_that_is_one_line_and_none_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(policy: tf.Module, path: str, signatures: object) -> None:
        (Path(path) / "variables").mkdir()  # the folder is there: it would have been refused before, in Python's words
        raise error

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(RunDirError) as caught:
        export_policy(task(), network_of(task()), tmp_path / "exports", {})
    (line,) = str(caught.value).splitlines()
    assert line == f"{tmp_path / 'exports'}: no version can be written: {said}"
    assert list((tmp_path / "exports").iterdir()) == []


def test_a_folder_that_cant_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirError, match="file/exports: no version can be written: Not a directory"):
        export_policy(task(), network_of(task()), tmp_path / "file" / "exports", {})
