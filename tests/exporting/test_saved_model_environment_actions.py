"""What is exported says which of the environment's own actions it means: in every format, and without its package."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from gymnasium import Space, spaces

from tests.support.policies import network_of, observations, task
from tests.support.tiny_runs import tiny
from tfdqn.config import MLP, Task
from tfdqn.errors import UserError
from tfdqn.exporting.formats import ModelFormat, convert
from tfdqn.exporting.loaded_policy import LoadedPolicy, load_policy
from tfdqn.exporting.model_card import write_model_card
from tfdqn.exporting.saved_model import export_policy
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.adapters.actions import action_spec

BOX = spaces.Box(np.float32([-1, 0, 2]), np.float32([1, 5, 2]))
SPACES: dict[str, tuple[Space, Task]] = {
    "discrete from 3": (spaces.Discrete(4, start=3), Task()),
    "product": (spaces.MultiDiscrete([[2, 3], [1, 2]], start=[[-1, 0], [5, 2]]), Task()),
    "branches": (spaces.MultiDiscrete([2, 4, 3], start=[7, -2, 0]), Task(action_form="branches")),
    "bits": (spaces.MultiBinary((2, 2)), Task()),
    "grid": (BOX, Task(action_bins=(3, 4, 9))),
    "grid of branches": (BOX, Task(action_bins=5, action_form="branches")),
    "float64": (spaces.Box(-2.0, 2.0, (1,), np.float64), Task(action_bins=7)),
    "bytes": (spaces.Box(0, 255, (2,), np.uint8), Task(action_bins=6)),
}


def exported(name: str, folder: Path, *formats: ModelFormat, masks: bool = False) -> tuple[Space, TaskSpec, Path]:
    space, keys = SPACES[name]
    spec = msgspec.structs.replace(task(masks=masks), actions=action_spec(space, keys))
    network = network_of(spec, MLP(hidden_units=(16, 8), dueling=True))
    rng = np.random.default_rng(1)
    for weight in network.named_weights().values():
        weight.assign(rng.normal(size=weight.shape))
    return space, spec, export_policy(spec, network, folder, {}, add=lambda path: convert(path, formats))


def served_by(version: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    module = tf.saved_model.load(str(version))
    outputs = module.signatures["serving_default"](**{key: tf.constant(each) for key, each in inputs.items()})
    return {key: each.numpy() for key, each in outputs.items()}


@pytest.mark.parametrize("name", SPACES)
def test_a_served_action_is_one_that_the_space_contains(name: str, tmp_path: Path) -> None:
    space, spec, version = exported(name, tmp_path)
    inputs = observations(spec, 60)
    served = served_by(version, inputs)
    assert served["action"].dtype == np.int32 and served["q_values"].shape == (60, *spec.mask_shape)
    sample = np.asarray(space.sample())
    own = served["environment_action"]
    assert own.shape == (60, *sample.shape) and own.dtype == sample.dtype
    policy = load_policy(version)
    np.testing.assert_array_equal(policy(inputs["observation"]), own)
    assert len(np.unique(own.reshape(60, -1), axis=0)) > 1
    for observation, action in zip(inputs["observation"][:5], own, strict=False):
        alone = policy(observation)
        assert space.contains(alone) and isinstance(alone, int if name.startswith("discrete") else np.ndarray)
        np.testing.assert_array_equal(alone, action)
    # By hand, of what was asked: the first is the lowest of every element, and the count of all is their product.
    best = served["q_values"].argmax(axis=-1)
    np.testing.assert_array_equal(served["action"], best)
    lows, counts = np.array(spec.actions.low), np.array(spec.actions.counts)
    steps = (np.array(spec.actions.high) - lows) / np.maximum(counts - 1, 1)
    digits = best if best.ndim > 1 else np.stack(np.unravel_index(best, counts), axis=-1)
    np.testing.assert_allclose(own.reshape(60, -1), lows + digits * steps, rtol=1e-6, atol=1e-6)


def test_where_actions_count_from_zero_they_are_the_environments(tmp_path: Path) -> None:
    spec = task()
    version = export_policy(spec, network_of(spec), tmp_path, {})
    assert served_by(version, observations(spec, 2)).keys() == {"action", "q_values"}


@pytest.mark.long  # of a grid: test_formats.py; branches as a SavedModel: below
def test_every_format_says_the_same_of_branches(tmp_path: Path) -> None:
    _, spec, version = exported("branches", tmp_path, ModelFormat.onnx, ModelFormat.tflite, masks=True)
    inputs = observations(spec, 40)
    legal = (np.random.default_rng(2).random((40, 3, 4)) < 0.5) & spec.all_legal
    legal[..., 0] |= ~legal.any(axis=-1)
    inputs["legal_actions"] = legal
    served = served_by(version, inputs)
    session = onnxruntime.InferenceSession(version / "policy.onnx")
    outputs = [each.name for each in session.get_outputs()]
    onnx = dict(zip(outputs, session.run(outputs, inputs), strict=True))
    tflite = tf.lite.Interpreter(str(version / "policy.tflite")).get_signature_runner("serving_default")
    for found in (onnx, tflite(**inputs)):
        assert found.keys() == served.keys() == {"action", "q_values", "environment_action"}
        for key in ("action", "environment_action"):
            np.testing.assert_array_equal(found[key], served[key])
            assert found[key].dtype == served[key].dtype
        np.testing.assert_allclose(found["q_values"], served["q_values"], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def of_branches(tmp_path_factory: pytest.TempPathFactory) -> LoadedPolicy:
    """A policy for branches that have masks."""
    return load_policy(exported("branches", tmp_path_factory.mktemp("branches"), masks=True)[2])


def test_the_masks_of_branches_are_obeyed_and_checked(of_branches: LoadedPolicy) -> None:
    space, policy = SPACES["branches"][0], of_branches
    legal = np.array([[False, True, False, False], [True, False, True, False], [False, False, True, False]])
    action = policy(np.zeros(4, np.float32), legal)
    assert space.contains(action) and action[0] == 8 and action[1] in (-2, 0) and action[2] == 2
    rows = [[0, 1], [1, 0, 1, 0], [0, 0, 1]]  # as the environment may give it
    for mask in (rows, tuple(map(np.array, rows)), np.concatenate(rows).astype(bool)):
        np.testing.assert_array_equal(policy(np.zeros(4, np.float32), mask), action)
    np.testing.assert_array_equal(policy(np.zeros((2, 4), np.float32), [rows, rows]), [action, action])


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        (
            [[0, 1], [1, 0, 1, 0], [0, 0]],
            r"legal_actions has rows of several lengths, not the shape \(9,\) or \(3, 4\)",
        ),
        ([[0, 1], [1, 0, 1, 0], []], "legal_actions has rows of several lengths"),
        (np.ones((3, 3)), r"legal_actions has shape \(3, 3\), not \(9,\) or \(3, 4\)"),
        ([[0, 1], [0, 0, 0, 0], [0, 0, 1]], r"legal_actions\[1\]: no action is legal"),
        ([[0, 2], [1, 0, 1, 0], [0, 0, 1]], r"legal_actions: booleans are needed, or 0 and 1; got int64\[9\]"),
    ],
    ids=["a row too short", "an empty row", "another shape", "nothing legal", "no truth"],
)
def test_what_is_no_mask_of_branches_is_one_line(mask: Any, problem: str, of_branches: LoadedPolicy) -> None:
    with pytest.raises(UserError, match=f"^{problem}"):
        of_branches(np.zeros(4, np.float32), mask)


def test_the_model_card_says_what_each_element_may_be(tmp_path: Path) -> None:
    _, spec, version = exported("grid", tmp_path)
    write_model_card(version, spec, tiny(), {"checkpoint": "best", "train_steps": 3})
    card = json.loads((version / "model_card.json").read_text())
    assert (card["actions"], card["first_action"]) == ([12], [-1.0, 0.0, 2.0])
    assert card["environment_action"] == {
        "low": [-1.0, 0.0, 2.0], "high": [1.0, 5.0, 2.0], "counts": [3, 4, 1], "shape": [3], "dtype": "float32",
        "form": "product",
    }  # fmt: skip
    page = (version / "model_card.md").read_text()
    assert "| the environment's action | float32[3], -1 to 1 in 3 values, 0 to 5 in 4 values, 2 |" in page


@pytest.mark.parametrize(
    ("played", "words"),
    [(7, "7 episodes: 3, and 4 more to confirm a new best policy"), (3, "3 episodes"), (9, "9 episodes")],
)
def test_the_model_card_says_which_episodes_were_played(played: int, words: str, tmp_path: Path) -> None:
    _, spec, version = exported("grid", tmp_path)
    config = tiny("evaluation.episodes=3", "evaluation.confirm_episodes=4")
    scores = {"episodes": played, "mean_return": 1234.5, "ci_low": 0.0, "ci_high": 2000.0}
    write_model_card(version, spec, config, {"checkpoint": "best", "train_steps": 3, "evaluation": scores})
    page = (version / "model_card.md").read_text()
    assert f"| evaluation in training | greedy mean return 1,234.50 (95 %: 0.00 to 2,000.00) over {words} |" in page
