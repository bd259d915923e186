"""The live policy, the checkpoint, the SavedModel, ONNX and TFLite agree on 1,000 observations."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.exporting.test_saved_model_of_ensembles import exported, random_masks, random_members, stacked
from tests.support.elsewhere import ONNX, SAVED_MODEL, TFLITE, Arrays, ask, ask_saved_model_cli
from tests.support.policies import BOX, DISCRETE, IMAGE, observations, task
from tests.support.tiny_runs import policy_weights, tiny
from tfdqn.acting.factory import make_q_function
from tfdqn.acting.policy import Policy
from tfdqn.config import MLP, Config, Ensemble, Linear, NatureCNN
from tfdqn.exporting.formats import ModelFormat, convert
from tfdqn.exporting.from_run import export_run
from tfdqn.learning.strategies.chief import Chief
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_spec import TaskSpec
from tfdqn.training.local_parts import local_session

OBSERVATIONS = 1_000
# Of the largest |Q|. Measured: at most 1.0e-6, where convolutions sum in another order.
TOLERANCE = 1e-5


class Exported(NamedTuple):
    """A version in every format, observations, and what the live policy answers to them."""

    run: RunDir
    config: Config
    spec: TaskSpec
    version: Path
    inputs: Arrays
    live: Arrays


def answers(config: Config, spec: TaskSpec, weights: Arrays, inputs: Arrays) -> Arrays:
    """What an actor's greedy policy answers."""
    policy = Policy(make_q_function(config, spec))
    observation = {name: inputs[name] for name in spec.observation}
    legal_actions = inputs.get("legal_actions")
    found = policy(weights, observation, legal_actions, (), np.random.default_rng(0))
    return {"action": found.action, "q_values": found.q_values}


def assert_agree(found: Arrays, live: Arrays, inputs: Arrays) -> None:
    """Q within the tolerance; the same actions, wherever the best is better than the second by more than that."""
    assert found.keys() == live.keys()
    assert {name: each.dtype for name, each in found.items()} == {"action": np.int32, "q_values": np.float32}
    q_values = live["q_values"]
    tolerance = TOLERANCE * np.abs(q_values).max()
    assert tolerance > 0
    np.testing.assert_allclose(found["q_values"], q_values, rtol=0, atol=tolerance)
    legal = np.where(inputs.get("legal_actions", True), q_values, -np.inf)
    second, best = np.sort(legal, axis=1)[:, -2:].T
    clear = best - second > 2 * tolerance
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found["action"][clear], live["action"][clear])
    assert len(np.unique(live["action"])) > 1


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """Of CartPole: the policy of a session that is still alive."""
    run, config = RunDir(tmp_path_factory.mktemp("parity") / "run"), tiny()
    with (
        run.claim(config),
        closing(Chief(config, ["CPU:0"], print)) as chief,
        closing(local_session(config, run, chief, print)) as session,
    ):
        while session.learner.train_steps < 50:
            session.learn() if session.parts.ratio.may_learn() else session.parts.act()
        session.parts.evaluate()
        session.save(1.0)
        spec, weights = session.parts.task_spec, session.parts.board.get().weights
        inputs = observations(spec, OBSERVATIONS)
        version = export_run(run.path, formats=["onnx", "tflite"])
        yield Exported(run, config, spec, version, inputs, answers(config, spec, dict(weights), inputs))


def test_the_checkpoint_answers_as_the_live_policy(learned: Exported) -> None:
    for which in ("best", "latest"):
        weights = policy_weights(learned.run.path, which)
        found = answers(learned.config, learned.spec, weights, learned.inputs)
        np.testing.assert_array_equal(found["q_values"], learned.live["q_values"])
        np.testing.assert_array_equal(found["action"], learned.live["action"])


@pytest.mark.parametrize("script", [SAVED_MODEL, ONNX, TFLITE], ids=["SavedModel", "ONNX", "TFLite"])
def test_a_file_answers_as_the_live_policy_where_there_is_no_tf_agents(
    learned: Exported, script: str, tmp_path: Path
) -> None:
    found = ask(script, learned.version, learned.inputs, tmp_path)
    assert_agree(found, learned.live, learned.inputs)


def test_saved_model_cli_answers_as_the_live_policy(learned: Exported, tmp_path: Path) -> None:
    found = ask_saved_model_cli(learned.version, learned.inputs, tmp_path)
    assert_agree(found, learned.live, learned.inputs)


@pytest.mark.long
@pytest.mark.parametrize(
    ("config", "spec"),
    [
        pytest.param(Config(network=MLP(hidden_units=(16,))), task(masks=True, place=BOX, cell=DISCRETE), id="parts"),
        pytest.param(Config(network=Linear()), task(), id="linear"),
        pytest.param(
            Config(network=MLP(hidden_units=(16,), normalize_observations=True)),
            task(masks=True, place=BOX, cell=DISCRETE),
            id="normalised",
        ),
        pytest.param(
            Config(network=MLP(hidden_units=(16,), normalize_observations=True), ensemble=Ensemble(size=5)),
            task(place=BOX, cell=DISCRETE),
            id="normalised ensemble",
        ),
        pytest.param(Config(network=NatureCNN(dense_units=8)), task(observation=IMAGE), id="frames"),
        pytest.param(
            Config(network=MLP(hidden_units=(16,)), ensemble=Ensemble(size=5, aggregation="majority")),
            task(masks=True),
            id="votes",
        ),
        pytest.param(
            Config(network=MLP(hidden_units=(16,)), ensemble=Ensemble(size=5, aggregation="minimum")),
            task(masks=True),
            id="minimum",
        ),
        pytest.param(
            Config(network=NatureCNN(dense_units=8), ensemble=Ensemble(size=5, aggregation="mean")),
            task(observation=IMAGE),
            id="ensemble on frames",
        ),
    ],
)
def test_every_kind_of_policy_answers_alike_in_every_format(config: Config, spec: TaskSpec, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    members = random_members(config, spec, rng)
    weights = members[0] if config.ensemble.size == 1 else stacked(members)
    inputs = observations(spec, OBSERVATIONS)
    if spec.action_masks:
        inputs["legal_actions"] = random_masks((OBSERVATIONS, *spec.mask_shape), rng)
    live = answers(config, spec, weights, inputs)
    version = exported(config, spec, weights, tmp_path / "exports")
    convert(version, [ModelFormat.onnx, ModelFormat.tflite])
    for script in (SAVED_MODEL, ONNX, TFLITE):
        assert_agree(ask(script, version, inputs, tmp_path), live, inputs)
    assert_agree(ask_saved_model_cli(version, inputs, tmp_path), live, inputs)
