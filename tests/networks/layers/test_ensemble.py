"""Ensembles of networks: each member is the plain network that it would be alone, in TensorFlow and in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import observations, random_weights, vector_spec
from tfdqn import config
from tfdqn.networks.factory import ensemble_network, numpy_q_function, q_network
from tfdqn.networks.q_network import QNetwork
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

IMAGE = TaskSpec(
    id="Image-v0",
    observation={"observation": ArraySpec(shape=(2, 36, 40), dtype="uint8", frame_stack=2)},
    actions=discrete(3),
)
SEVERAL = TaskSpec(
    id="Dict-v0",
    observation={
        "speed": ArraySpec(shape=(2,), dtype="float32"),
        "gear": ArraySpec(shape=(), dtype="int64", categories=3, start=1),
    },
    actions=discrete(3),
)
CASES = {
    "relu": (config.MLP(hidden_units=(7, 5)), vector_spec(5, 3)),
    "tanh": (config.MLP(hidden_units=(7,), activation="tanh"), SEVERAL),
    "elu": (config.MLP(hidden_units=(7,), activation="elu"), SEVERAL),
    "no hidden layer": (config.MLP(hidden_units=()), vector_spec(5, 3)),
    "identity": (config.Linear(features="identity"), SEVERAL),
    "polynomial": (config.Linear(features="polynomial", degree=2), vector_spec(4, 3)),
    "nature": (config.NatureCNN(dense_units=8), IMAGE),
}
SEEDS = (3, 1, 4, 1)


def arrays(network: QNetwork) -> dict[str, np.ndarray]:
    return {name: weight.numpy() for name, weight in network.named_weights().items()}


def tensors(observation: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {key: tf.constant(array) for key, array in observation.items()}


def ensemble_of(settings: config.Network, spec: TaskSpec) -> QNetwork:
    ensemble = ensemble_network(config.Config(network=settings), spec, seeds=SEEDS)
    ensemble.create_variables()
    return ensemble


@pytest.mark.parametrize(("settings", "spec"), CASES.values(), ids=CASES.keys())
def test_every_member_starts_as_the_plain_network_of_its_seed(settings: config.Network, spec: TaskSpec) -> None:
    together = arrays(ensemble_of(settings, spec))
    for k, seed in enumerate(SEEDS):
        alone = q_network(config.Config(network=settings), spec, seed=seed)
        alone.create_variables()
        expected = arrays(alone)
        assert list(together) == list(expected)
        for name, array in expected.items():
            assert together[name].shape == (len(SEEDS), *array.shape)
            np.testing.assert_array_equal(together[name][k], array, err_msg=name)


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize(("settings", "spec"), CASES.values(), ids=CASES.keys())
def test_every_member_computes_what_the_plain_network_does(
    settings: config.Network, spec: TaskSpec, compiled: bool
) -> None:
    rng = np.random.default_rng(1)
    ensemble, alone = ensemble_of(settings, spec), q_network(config.Config(network=settings), spec, seed=0)
    alone.create_variables()
    members = [random_weights(alone.named_weights(), rng) for _ in SEEDS]
    stacked = {name: np.stack([member[name] for member in members]) for name in members[0]}
    ensemble.load_named_weights(stacked)
    call = tf.function(lambda observation: ensemble(observation)[0], autograph=False, jit_compile=compiled)
    observation = observations(spec, 6, rng)
    q_values = call(tensors(observation))
    assert q_values.shape == (len(SEEDS), 6, 3)
    for k, member in enumerate(members):
        alone.load_named_weights(member)
        expected, _ = alone(tensors(observation))
        np.testing.assert_allclose(q_values[k], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in CASES if name != "nature"])
def test_numpy_gives_the_same_q_values(name: str) -> None:
    settings, spec = CASES[name]
    rng = np.random.default_rng(2)
    ensemble = ensemble_of(settings, spec)
    weights = random_weights(ensemble.named_weights(), rng)
    ensemble.load_named_weights(weights)
    in_numpy = numpy_q_function(config.Config(network=settings), spec)
    assert in_numpy is not None
    observation = observations(spec, 17, rng)
    before = {key: array.copy() for key, array in observation.items()}
    q_values = in_numpy(weights, observation)
    assert q_values.dtype == np.float32
    np.testing.assert_allclose(q_values, ensemble(tensors(observation))[0], rtol=1e-4, atol=1e-5)
    for key, array in before.items():
        np.testing.assert_array_equal(observation[key], array)


def test_a_copy_has_weights_of_its_own() -> None:
    settings, spec = CASES["relu"]
    ensemble = ensemble_of(settings, spec)
    copy = ensemble.copy(name="copy")
    copy.create_variables()
    for name, weight in copy.named_weights().items():
        np.testing.assert_array_equal(weight, ensemble.named_weights()[name])
        weight.assign(weight + 1)
        assert not np.isclose(weight, ensemble.named_weights()[name]).any()
