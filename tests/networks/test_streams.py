"""The ends of networks: dueling, noisy and normalised, each and all of them, in TensorFlow and in NumPy."""

from itertools import product

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import observations, random_weights, vector_spec
from tfdqn.acting.factory import tensorflow_q_function
from tfdqn.config import C51, MLP, Config, Ensemble, SmallCNN
from tfdqn.networks.factory import ensemble_network, network_to_load, numpy_q_function, q_network, weight_specs
from tfdqn.networks.noise import Noise
from tfdqn.networks.q_network import QNetwork
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

SPEC = vector_spec(5, 3)
BOARD = TaskSpec(id="Board-v0", observation={"board": ArraySpec(shape=(6, 5, 2), dtype="bool")}, actions=discrete(3))
OPTIONS = [
    {"dueling": dueling, "noisy": noisy, "layer_norm": layer_norm}
    for dueling, noisy, layer_norm in product([False, True], repeat=3)
]


def named(options: dict[str, bool]) -> str:
    return " ".join(name for name, chosen in options.items() if chosen) or "plain"


def made(config: Config, spec: TaskSpec = SPEC) -> tuple[QNetwork, dict[str, np.ndarray]]:
    """A network whose weights, sigmas and scales included, are all random."""
    network = network_to_load(config, spec)
    weights = random_weights(network.named_weights(), np.random.default_rng(1))
    network.load_named_weights(weights)
    return network, weights


def noise(step: int, key: int = 7) -> Noise:
    return Noise(key, tf.constant(step, tf.int64))


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("hidden_units", [(), (6,), (7, 6)])
@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_numpy_gives_the_same_q_values(options: dict[str, bool], hidden_units: tuple[int, ...], members: int) -> None:
    config = Config(network=MLP(hidden_units=hidden_units, **options), ensemble=Ensemble(size=members))
    network, weights = made(config)
    observation = observations(SPEC, 9, np.random.default_rng(2))
    expected, _ = network({key: tf.constant(array) for key, array in observation.items()})
    in_numpy = numpy_q_function(config, SPEC)
    assert in_numpy is not None
    found = in_numpy(weights, observation)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_its_weights_have_names_that_are_told_without_making_them(options: dict[str, bool], members: int) -> None:
    config = Config(network=MLP(hidden_units=(7, 6), **options), ensemble=Ensemble(size=members))
    _, weights = made(config)
    told = weight_specs(config, SPEC)
    assert list(told) == list(weights)
    assert all(told[name].shape == array.shape for name, array in weights.items())
    ends = ["value_hidden_1", "value", "advantage_hidden_1", "advantage"] if options["dueling"] else ["hidden_1", "q"]
    kinds = ["kernel", "bias", *(["kernel_sigma", "bias_sigma"] if options["noisy"] else [])]
    expected = {f"{end}/{kind}" for end in ends for kind in kinds} | {"hidden_0/kernel", "hidden_0/bias"}
    if options["layer_norm"]:
        hidden = ["hidden_0", *(end for end in ends if "hidden" in end)]
        expected |= {f"{name}_norm/{kind}" for name in hidden for kind in ("scale", "offset")}
    assert set(weights) == expected


@pytest.mark.parametrize("members", [1, 2])
def test_dueling_is_the_value_and_the_advantages_less_their_mean_atom_by_atom(members: int) -> None:
    network = MLP(hidden_units=(6,), dueling=True)
    config = Config(network=network, agent=C51(atoms=4, v_max=1.0)) if members == 1 else Config(network=network)
    config = msgspec.structs.replace(config, ensemble=Ensemble(size=members))
    made_network, w = made(config)
    numbers = 4 if members == 1 else 1
    x = np.random.default_rng(3).normal(size=(8, 5)).astype(np.float32)

    def stream(name: str) -> np.ndarray:
        hidden = np.maximum(x @ w[f"{name}_hidden_0/kernel"] + w[f"{name}_hidden_0/bias"][..., np.newaxis, :], 0)
        outputs = hidden @ w[f"{name}/kernel"] + w[f"{name}/bias"][..., np.newaxis, :]
        return outputs.reshape(*outputs.shape[:-1], -1, numbers)

    advantages = stream("advantage")
    expected = stream("value") + advantages - advantages.mean(axis=-2, keepdims=True)
    found, _ = made_network.outputs({"observation": tf.constant(x)})
    np.testing.assert_allclose(np.reshape(found, expected.shape), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("members", [1, 2])
def test_the_mean_over_draws_is_what_there_is_without_noise(members: int) -> None:
    # No hidden layer: the output is linear in its noise, whose mean is zero.
    config = Config(network=MLP(hidden_units=(), noisy=True), ensemble=Ensemble(size=members))
    network, weights = made(config)
    x = {"observation": tf.constant(np.random.default_rng(4).normal(size=(2, 5)), tf.float32)}
    call = tf.function(lambda step: network(x, noise=Noise(7, step))[0], autograph=False)
    draws = np.stack([call(tf.constant(step, tf.int64)) for step in range(1500)])
    exact = network(x)[0].numpy()
    error = draws.std(axis=0) / len(draws) ** 0.5
    assert np.all(np.abs(draws.mean(axis=0) - exact) < 5 * error)
    in_numpy, rng = numpy_q_function(config, SPEC), np.random.default_rng(5)
    assert in_numpy is not None
    acting = np.stack([in_numpy(weights, {"observation": x["observation"].numpy()}, rng) for _ in range(1500)])
    assert np.all(np.abs(acting.mean(axis=0) - exact) < 5 * error)
    np.testing.assert_allclose(acting.std(axis=0), draws.std(axis=0), rtol=0.15)


@pytest.mark.parametrize("spec", [SPEC, BOARD], ids=["in NumPy", "by TensorFlow"])
def test_noise_is_drawn_anew_at_every_call_that_explores_and_never_without(spec: TaskSpec) -> None:
    network = MLP(hidden_units=(6,), noisy=True) if spec is SPEC else SmallCNN(dense_units=6, noisy=True)
    config = Config(network=network)
    q_function = numpy_q_function(config, spec) or tensorflow_q_function(config, spec)
    _, weights = made(config, spec)
    observation = observations(spec, 4, np.random.default_rng(6))
    without = [q_function(weights, observation) for _ in range(2)]
    np.testing.assert_array_equal(*without)
    rng, same = np.random.default_rng(7), np.random.default_rng(7)
    first, second = (q_function(weights, observation, rng) for _ in range(2))
    assert np.abs(first - second).min() > 1e-4
    assert np.abs(first - without[0]).min() > 1e-4
    np.testing.assert_array_equal(first, q_function(weights, observation, same))


def test_noise_is_shared_by_a_batch_and_each_members_own() -> None:
    config = Config(network=MLP(hidden_units=(6,), noisy=True), ensemble=Ensemble(size=2))
    network, weights = made(config)
    network.load_named_weights({name: np.stack([array[0]] * 2) for name, array in weights.items()})
    x = tf.constant(np.repeat(np.random.default_rng(8).normal(size=(1, 5)), 3, axis=0), tf.float32)
    q_values, _ = network({"observation": x}, noise=noise(1))
    np.testing.assert_allclose(q_values[:, 0], q_values[:, 2], rtol=1e-5)
    assert np.abs(q_values[0] - q_values[1]).min() > 1e-4
    again, _ = network({"observation": x}, noise=noise(1))
    np.testing.assert_array_equal(again, q_values)
    other, _ = network({"observation": x}, noise=noise(1, key=8))
    assert np.abs(other - q_values).min() > 1e-4


@pytest.mark.parametrize("members", [1, 2])
def test_weights_that_are_given_are_those_that_it_computes_with(members: int) -> None:
    config = Config(
        network=MLP(hidden_units=(7, 6), dueling=True, noisy=True, layer_norm=True), ensemble=Ensemble(size=members)
    )
    network, weights = made(config)
    others = {name: tf.constant(array + 0.5) for name, array in weights.items()}
    x = {"observation": tf.constant(np.random.default_rng(9).normal(size=(4, 5)), tf.float32)}
    with network.with_weights(others):
        given, _ = network(x, noise=noise(2))
    before, _ = network(x, noise=noise(2))
    network.load_named_weights({name: tensor.numpy() for name, tensor in others.items()})
    np.testing.assert_array_equal(network(x, noise=noise(2))[0], given)
    assert np.abs(before - given).max() > 1e-3


@pytest.mark.parametrize("spec", [SPEC, vector_spec(5, (3, 2))], ids=["one number", "branches"])
@pytest.mark.parametrize("normalize", [False, True])
def test_mixed_precision_keeps_float32_weights_and_q_values(spec: TaskSpec, normalize: bool) -> None:
    parts = {"dueling": True, "noisy": True, "layer_norm": True, "normalize_observations": normalize}
    config = Config(network=MLP(hidden_units=(16, 16), **parts))
    exact, mixed = (q_network(config, spec, seed=1, precision=each) for each in ("float32", "mixed_bfloat16"))
    x = {"observation": tf.constant(np.random.default_rng(10).normal(size=(4, 5)), tf.float32)}
    if normalize:  # numbers of which bfloat16 would keep nothing
        x = {"observation": x["observation"] + 1000.0}
        for network in (exact, mixed):
            network.create_variables()
            network.statistics["observation"].mean.assign([1000.0] * 5)
    expected, found = (network(x, noise=noise(3))[0] for network in (exact, mixed))
    assert found.dtype == tf.float32
    assert {weight.dtype for weight in mixed.named_weights().values()} == {tf.float32}
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert not np.array_equal(found, expected)


def test_an_ensembles_members_start_as_the_plain_networks_of_their_seeds() -> None:
    config = Config(network=MLP(hidden_units=(6,), dueling=True, noisy=True, layer_norm=True))
    together, alone = ensemble_network(config, SPEC, seeds=[4, 2]), q_network(config, SPEC, seed=2)
    together.create_variables()
    alone.create_variables()
    for name, weight in alone.named_weights().items():
        np.testing.assert_array_equal(together.named_weights()[name][1], weight, err_msg=name)
