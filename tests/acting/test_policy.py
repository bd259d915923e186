"""`Policy`: NumPy's and TensorFlow's Q-values agree; where it acts; each way to explore is reached by its settings."""

import json
from typing import Any

import numpy as np
import pytest

from tests.support.batches import observations, random_weights, vector_spec
from tests.support.parity_runs import forked
from tests.support.tiny_runs import tiny
from tfdqn.acting.exploration import Explorer
from tfdqn.acting.factory import acting_device, make_q_function, tensorflow_q_function
from tfdqn.acting.policy import Policy
from tfdqn.config import MLP, Boltzmann, Config, Ensemble, EpsilonGreedy, Exploration, Linear, NatureCNN
from tfdqn.errors import NotFiniteError
from tfdqn.networks.best_actions import Aggregation
from tfdqn.networks.factory import numpy_q_function, q_network
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

Q = np.array([[0.0, 2.0, 1.0]] * 4000, np.float32)


def act(settings: Exploration | None, legal: np.ndarray | None = None, env_steps: int = 0) -> np.ndarray:
    policy = Policy(lambda weights, observation, legal_actions, rng: Q, Explorer(settings, len(Q)))
    output = policy({}, {}, legal, ("state",), np.random.default_rng(1), env_steps)
    assert output.q_values is Q
    assert output.policy_state == ("state",)
    assert output.action.dtype == np.int32
    return np.bincount(output.action, minlength=3) / len(Q)


def test_without_exploration_the_best_legal_action_is_taken() -> None:
    np.testing.assert_array_equal(act(None), [0, 1, 0])
    np.testing.assert_array_equal(act(None, np.tile([True, False, True], (len(Q), 1))), [0, 0, 1])


def test_only_a_policy_that_explores_has_noise() -> None:
    given: list[np.random.Generator | None] = []

    def q_values(weights: object, observation: object, legal_actions: object, rng: np.random.Generator | None) -> Any:
        given.append(rng)
        return Q[:2]

    rng = np.random.default_rng(1)
    for explorer in (Explorer(), Explorer(EpsilonGreedy(), 2)):
        Policy(q_values, explorer)({}, {}, None, (), rng)
    assert given == [None, rng]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_q_values_that_are_not_finite_are_an_error_that_names_them(bad: float) -> None:
    poisoned = np.zeros((3, 2), np.float32)
    poisoned[1, 0] = bad
    policy = Policy(lambda weights, observation, legal_actions, rng: poisoned)
    with pytest.raises(NotFiniteError, match=f"Q of action 0 of environment 1 is {bad}"):
        policy({}, {}, None, (), np.random.default_rng(1))


@pytest.mark.filterwarnings("error")
def test_an_observation_for_which_q_overflows_is_an_error_and_no_warning() -> None:
    spec, config = vector_spec(4, 2), Config(network=MLP(hidden_units=(8,)))
    shapes = {"hidden_0/kernel": (4, 8), "hidden_0/bias": (8,), "q/kernel": (8, 2), "q/bias": (2,)}
    weights = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    policy = Policy(make_q_function(config, spec))
    huge = {"observation": np.full((2, 4), 3e38, np.float32)}
    with pytest.raises(NotFiniteError, match="Q of action 0 of environment 0 is inf"):
        policy(weights, huge, None, (), np.random.default_rng(1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("aggregation", ["mean", "majority", "minimum"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_member_of_an_ensemble_whose_q_values_are_not_finite_is_an_error(
    aggregation: Aggregation, bad: float
) -> None:
    spec = vector_spec(4, 2)
    config = Config(network=Linear(), ensemble=Ensemble(size=3, aggregation=aggregation))
    theta = np.zeros((3, 4, 2), np.float32)
    theta[1, 0, 1] = bad
    policy = Policy(make_q_function(config, spec))
    with pytest.raises(NotFiniteError, match=r"Q of action 1 of environment 0 is (nan|inf)"):
        policy(
            {"theta/kernel": theta}, {"observation": np.ones((2, 4), np.float32)}, None, (), np.random.default_rng(1)
        )


def test_epsilon_follows_its_schedule() -> None:
    settings = EpsilonGreedy(start=0.9, end=0.3, decay_env_steps=100)
    np.testing.assert_allclose(act(settings, env_steps=0), [0.3, 0.4, 0.3], atol=0.03)
    np.testing.assert_allclose(act(settings, env_steps=100), [0.1, 0.8, 0.1], atol=0.03)


def test_each_environment_has_its_rung_of_the_ladder() -> None:
    """Of the mean over a ladder ε^(1 + α x), x uniform in [0, 1]: (ε − ε^(1 + α)) / (α ln(1/ε))."""
    settings = EpsilonGreedy(start=0.4, end=0.4, ladder_alpha=7.0)
    mean = (0.4 - 0.4**8) / (7 * np.log(1 / 0.4))
    np.testing.assert_allclose(act(settings), [mean / 3, 1 - 2 * mean / 3, mean / 3], atol=0.01)


def test_temperature_follows_its_schedule() -> None:
    settings = Boltzmann(start=2.0, end=0.01, decay_env_steps=100)
    weights = np.exp(Q[0] / 2.0)
    np.testing.assert_allclose(act(settings, env_steps=0), weights / weights.sum(), atol=0.03)
    np.testing.assert_array_equal(act(settings, env_steps=100), [0, 1, 0])


def test_tensorflow_takes_up_new_weights_and_agrees_with_numpy() -> None:
    rng = np.random.default_rng(2)
    network, spec = MLP(hidden_units=(5,)), vector_spec()
    in_numpy = numpy_q_function(Config(network=network), spec)
    in_tensorflow = tensorflow_q_function(Config(network=network), spec)
    assert in_numpy is not None
    names = q_network(Config(network=network), spec, seed=0)
    names.create_variables()
    for count in (3, 3, 7):
        weights = random_weights(names.named_weights(), rng)
        observation = observations(spec, count, rng)
        np.testing.assert_allclose(
            in_tensorflow(weights, observation), in_numpy(weights, observation), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_convolutions_act_through_tensorflow(dtype: str) -> None:
    rng = np.random.default_rng(3)
    spec = TaskSpec(
        id="Image-v0",
        observation={"observation": ArraySpec(shape=(2, 36, 36), dtype=dtype, frame_stack=2)},
        actions=discrete(3),
    )
    network = NatureCNN(dense_units=4)
    original = q_network(Config(network=network), spec, seed=5)
    original.create_variables()
    weights = {name: weight.numpy() for name, weight in original.named_weights().items()}
    observation = observations(spec, 2, rng)
    expected, _ = original(observation)
    act = make_q_function(Config(network=network), spec)
    np.testing.assert_allclose(act(weights, observation, None, None), expected, rtol=1e-4)


CENTRAL = "acting.inference=central"


def test_without_a_gpu_all_act_on_the_cpu() -> None:
    for overrides in ((), ("network.kind=impala", "acting.device=gpu"), (CENTRAL,)):
        assert acting_device(tiny(*overrides)) == "/CPU:0"


@pytest.mark.parametrize(
    ("overrides", "device"),
    [
        ((), "CPU:0"),
        (("acting.device=gpu",), "CPU:1"),
        ((CENTRAL,), "CPU:1"),
        ((CENTRAL, "acting.device=cpu"), "CPU:0"),
    ],
    ids=["auto", "gpu", "auto, central", "cpu, central"],
)
def test_weights_and_layers_are_where_the_configuration_says(overrides: list[str], device: str) -> None:
    """The second part of the CPU stands for a GPU, to which operations fall that are told no device."""
    found = json.loads(forked([({}, ["acting", "2", *overrides])]))
    assert found == {"convolutions": {device: 3}, "sent": {}}
