"""Q-values of several action dimensions: worked out by hand, in TensorFlow, in NumPy, of ensembles and as exported."""

from collections.abc import Mapping

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import observations, random_weights, vector_spec
from tfdqn.acting.factory import tensorflow_q_function
from tfdqn.config import MLP, Config, Ensemble, Linear, Network
from tfdqn.networks.factory import network_to_load, numpy_q_function, weight_specs

COUNTS = (3, 5, 2)
SPEC = vector_spec(4, COUNTS)
NETWORKS: dict[str, Network] = {
    "plain": MLP(hidden_units=(7, 6)),
    "no hidden layer": MLP(hidden_units=()),
    "dueling": MLP(hidden_units=(7, 6), dueling=True, activation="tanh"),
    "normalised": MLP(hidden_units=(7, 6), dueling=True, layer_norm=True),
    "noisy": MLP(hidden_units=(7, 6), dueling=True, noisy=True),
    "linear": Linear(features="polynomial"),
}


@pytest.fixture(params=NETWORKS.values(), ids=list(NETWORKS))
def network(request: pytest.FixtureRequest) -> Network:
    return request.param


def test_dueling_is_one_value_and_each_dimensions_advantages_less_their_own_mean() -> None:
    config = Config(network=NETWORKS["dueling"])
    made = network_to_load(config, SPEC)
    weights = random_weights(made.named_weights(), np.random.default_rng(1))
    made.load_named_weights(weights)
    observation = observations(SPEC, 6, np.random.default_rng(2))
    hidden = np.tanh(dense(weights, "hidden_0", observation["observation"]))
    value = dense(weights, "value", np.tanh(dense(weights, "value_hidden_1", hidden)))
    q_values = made(observation)[0].numpy()
    assert q_values.shape == (6, 3, 5)
    for d, count in enumerate(COUNTS):
        own = np.tanh(dense(weights, f"advantage_{d}_hidden_1", hidden))
        advantages = dense(weights, f"advantage_{d}", own)
        assert advantages.shape == (6, count)
        expected = value + advantages - advantages.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(q_values[:, d, :count], expected, rtol=1e-4, atol=1e-4)
        # What stands beyond a dimension's own actions is never the first of the largest.
        np.testing.assert_array_equal(q_values[:, d, count:], np.repeat(q_values[:, d, :1], 5 - count, axis=1))
        assert (q_values[:, d].argmax(axis=1) < count).all()


@pytest.mark.parametrize("members", [1, 3])
def test_numpy_and_tensorflow_give_the_same(network: Network, members: int) -> None:
    config = Config(network=network, ensemble=Ensemble(size=members))
    made = network_to_load(config, SPEC)
    weights = random_weights(made.named_weights(), np.random.default_rng(1))
    told = weight_specs(config, SPEC)
    assert {name: tuple(spec.shape) for name, spec in told.items()} == {name: w.shape for name, w in weights.items()}
    in_numpy = numpy_q_function(config, SPEC)
    assert in_numpy is not None
    in_tensorflow = tensorflow_q_function(config, SPEC)
    for batch in (1, 7):
        observation = observations(SPEC, batch, np.random.default_rng(batch))
        found, expected = in_numpy(weights, observation), in_tensorflow(weights, observation)
        assert found.dtype == np.float32 and found.shape == ((members,) if members > 1 else ()) + (batch, 3, 5)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    if members > 1:  # each is the network that it would be alone
        alone = numpy_q_function(Config(network=network), SPEC)
        assert alone is not None
        for k in range(members):
            own = {name: array[k] for name, array in weights.items()}
            np.testing.assert_allclose(found[k], alone(own, observation), rtol=1e-3, atol=1e-4)


def test_noise_is_each_dimensions_own_and_gone_where_the_network_is_served() -> None:
    config = Config(network=NETWORKS["noisy"])
    made = network_to_load(config, SPEC)
    weights = {name: array.numpy() for name, array in made.named_weights().items()}
    act = numpy_q_function(config, SPEC)
    assert act is not None
    observation = observations(SPEC, 2, np.random.default_rng(3))
    still, rng = act(weights, observation), np.random.default_rng(4)
    moved = np.array([act(weights, observation, rng) - still for _ in range(200)])
    np.testing.assert_allclose(made(observation)[0], still, rtol=1e-4, atol=1e-5)
    changes = moved[:, 0, :, 0] - moved[:, 0, :, 1]  # of advantages: the value moves all dimensions alike
    assert (changes.std(axis=0) > 0).all()
    assert (np.abs(np.corrcoef(changes.T)[np.triu_indices(3, 1)]) < 0.3).all()


def test_every_dimension_of_every_weight_gets_a_gradient(network: Network) -> None:
    made = network_to_load(Config(network=network), SPEC)
    names = {name: each for name, each in made.named_weights().items() if "sigma" not in name}
    for name, array in random_weights(names, np.random.default_rng(1)).items():
        names[name].assign(array)
    observation = observations(SPEC, 30, np.random.default_rng(2))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(made(observation)[0][..., :2] * tf.constant([[1.0, 2.0], [3.0, 5.0], [7.0, 11.0]]))
    for name, gradient in zip(names, tape.gradient(total, list(names.values())), strict=True):
        assert gradient is not None and np.abs(gradient).max() > 0, name


def dense(weights: Mapping[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]
