"""A noisy agent is evaluated, exported and served without its noise: by the means of its weights, always alike."""

from collections.abc import Callable
from contextlib import closing

import numpy as np
import onnxruntime
import pytest

from tests.support.policies import observations
from tests.support.serving_in_process import serving
from tests.support.tiny_runs import policy_weights, tiny
from tfdqn.acting.factory import make_policy, make_q_function, tensorflow_q_function
from tfdqn.acting.policy import Policy
from tfdqn.config import EpsilonGreedy
from tfdqn.evaluation.evaluate import evaluate
from tfdqn.evaluation.evaluator import play_episodes
from tfdqn.exporting.from_run import export_run
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.randomness import derived_seed
from tfdqn.serving.model import ModelVersions
from tfdqn.storage.run_directory import RunDir
from tfdqn.tasks.registry import make_task
from tfdqn.training.call import train
from tfdqn.types import Arrays


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    path = tmp_path_factory.mktemp("noisy") / "run"
    config = tiny("network.noisy=true", "exploration.start=0", "exploration.end=0", "replay.backend=in_graph")
    assert train(config, path).status == "finished"
    export_run(path, formats=["onnx"])
    return RunDir(path)


def means(run: RunDir) -> tuple[Policy, dict[str, np.ndarray]]:
    """The greedy policy of a network without noise, and its weights: those of the run but for the sigmas."""
    config = tiny("network.noisy=false")
    weights = policy_weights(run.path, "best")
    sigmas = {name for name in weights if name.endswith("_sigma")}
    assert len(sigmas) == 4 and all(np.abs(weights[name]).min() > 1e-3 for name in sigmas)
    kept = {name: array for name, array in weights.items() if name not in sigmas}
    return Policy(make_q_function(config, run.task_spec())), kept


def by_saved_model(run: RunDir) -> Callable[[Arrays], np.ndarray]:
    return lambda inputs: load_policy(run.path).q_values(dict(inputs))


def by_onnx(run: RunDir) -> Callable[[Arrays], np.ndarray]:
    session = onnxruntime.InferenceSession(load_policy(run.path).path / "policy.onnx")
    return lambda inputs: session.run(["q_values"], dict(inputs))[0]


def by_rest(run: RunDir) -> Callable[[Arrays], np.ndarray]:
    def q_values(inputs: Arrays) -> np.ndarray:
        body = {"inputs": {name: array.tolist() for name, array in inputs.items()}}
        with serving(ModelVersions(run.path / "exports", print)) as server:
            (status, answer), again = (server.predict(body) for _ in range(2))
        assert status == 200, answer
        assert again == (status, answer)
        return np.array(answer["outputs"]["q_values"], np.float32)

    return q_values


def by_evaluation(run: RunDir) -> Callable[[Arrays], np.ndarray]:
    policy, weights = make_policy(run.config(), run.task_spec()), policy_weights(run.path, "best")
    rng = np.random.default_rng(1)
    return lambda inputs: policy(weights, dict(inputs), None, (), rng).q_values


def by_evaluation_in_tensorflow(run: RunDir) -> Callable[[Arrays], np.ndarray]:
    q_function, weights = tensorflow_q_function(run.config(), run.task_spec()), policy_weights(run.path, "best")
    return lambda inputs: q_function(weights, dict(inputs))


@pytest.mark.parametrize("way", [by_saved_model, by_onnx, by_rest, by_evaluation, by_evaluation_in_tensorflow])
def test_its_answer_is_that_of_its_mean_weights_twice(
    way: Callable[[RunDir], Callable[[Arrays], np.ndarray]], run: RunDir
) -> None:
    inputs = observations(run.task_spec(), 100)
    policy, weights = means(run)
    expected = policy.q_values(weights, inputs, None)
    q_values = way(run)
    first, second = q_values(inputs), q_values(inputs)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, expected, rtol=1e-4, atol=1e-4)


def test_noise_would_be_seen(run: RunDir) -> None:
    """As where it explores: what it adds is far more than the tolerance."""
    inputs, rng = observations(run.task_spec(), 100), np.random.default_rng(2)
    policy, weights = means(run)
    expected = policy.q_values(weights, inputs, None)
    explores = make_policy(run.config(), run.task_spec(), EpsilonGreedy(start=0, end=0), num_envs=100)
    found = explores(policy_weights(run.path, "best"), inputs, None, (), rng).q_values
    assert np.median(np.abs(found - expected)) > 0.02


def test_its_evaluation_is_that_of_its_mean_weights(run: RunDir) -> None:
    policy, weights = means(run)
    with closing(make_task(run.config().task)) as task:
        returns, _ = play_episodes(task, policy, weights, 8, derived_seed(3, "evaluate"))
    for _ in range(2):
        assert evaluate(run.path, episodes=8, seed=3).mean_return == returns.mean()
