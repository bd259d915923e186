"""A policy with a memory: NumPy's is TensorFlow's, over whole episodes; each environment begins with nothing."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import observations, random_weights, vector_spec
from tfdqn.acting.factory import make_policy, tensorflow_recurrent_q_function
from tfdqn.acting.policy import forget
from tfdqn.config import MLP, Config
from tfdqn.errors import NotFiniteError
from tfdqn.networks.factory import numpy_recurrent_q_function, q_network, weight_specs

SPEC = vector_spec()
RNG = np.random.default_rng(0)


def remembering(memory: str, **network: Any) -> Config:
    return Config(network=MLP(hidden_units=(6, 5), memory=memory, memory_units=4, **network))


def weights_of(config: Config, rng: np.random.Generator) -> dict[str, np.ndarray]:
    network = q_network(config, SPEC, seed=1)
    network.create_variables()
    return random_weights(network.named_weights(), rng)


@pytest.mark.parametrize("memory", ["lstm", "gru"])
@pytest.mark.parametrize("dueling", [False, True])
def test_numpy_and_tensorflow_remember_alike(memory: str, dueling: bool) -> None:
    rng = np.random.default_rng(1)
    config = remembering(memory, dueling=dueling, layer_norm=dueling)
    weights = weights_of(config, rng)
    in_numpy, in_tensorflow = numpy_recurrent_q_function(config, SPEC), tensorflow_recurrent_q_function(config, SPEC)
    assert in_numpy is not None
    network = q_network(config, SPEC, seed=2)
    network.create_variables()
    network.load_named_weights(weights)
    states: list[Any] = [np.zeros((3, config.network.state_size), np.float32)] * 3
    for _ in range(6):
        observation = observations(SPEC, 3, rng)
        found = [in_numpy(weights, observation, states[0]), in_tensorflow(weights, observation, states[1])]
        found.append(network(observation, network_state=tf.constant(states[2])))
        states = [state for _, state in found]
        for q_values, state in found[1:]:
            np.testing.assert_allclose(q_values, found[0][0], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(state, found[0][1], rtol=1e-4, atol=1e-5)


def test_the_specifications_are_those_of_the_weights() -> None:
    for memory in ("lstm", "gru"):
        config = remembering(memory)
        specs = {name: tuple(spec.shape) for name, spec in weight_specs(config, SPEC).items()}
        assert specs == {name: array.shape for name, array in weights_of(config, RNG).items()}
        assert "memory/recurrent_kernel" in specs


def test_what_was_seen_before_matters_until_an_episode_begins() -> None:
    rng = np.random.default_rng(3)
    config = remembering("lstm")
    weights, policy = weights_of(config, rng), make_policy(config, SPEC)
    first, second = observations(SPEC, 2, rng), observations(SPEC, 2, rng)
    fresh = policy(weights, second, None, (), RNG)
    before = policy(weights, first, None, (), RNG)
    later = policy(weights, second, None, forget(before.policy_state, np.array([True, False])), RNG)
    np.testing.assert_allclose(later.q_values[0], fresh.q_values[0], rtol=1e-5)
    assert np.abs(later.q_values[1] - fresh.q_values[1]).max() > 1e-3
    np.testing.assert_array_equal(policy.q_values(weights, second, None), fresh.q_values)


def test_a_state_that_is_not_finite_is_found_by_its_values() -> None:
    config = remembering("lstm")
    state = np.full((2, config.network.state_size), np.nan, np.float32)
    with pytest.raises(NotFiniteError, match="environment 0"):
        make_policy(config, SPEC)(weights_of(config, RNG), observations(SPEC, 2, RNG), None, (state,), RNG)
