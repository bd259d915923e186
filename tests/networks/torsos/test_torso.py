"""What torsos share: an observation's numbers, normalised by their running statistics, before everything else."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import observations, random_weights, vector_spec
from tfdqn.config import MLP, Agent, Config, Ensemble, Linear, Network
from tfdqn.config.checks import lacking_needs
from tfdqn.config.fields import kinds
from tfdqn.config.own_code import is_own
from tfdqn.errors import ConfigError
from tfdqn.networks.factory import network_to_load, numpy_q_function
from tfdqn.networks.heads.table import HEADS
from tfdqn.networks.torsos.table import TORSOS
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

NETWORKS: list[Network] = [
    MLP(hidden_units=(6, 5), normalize_observations=True),
    MLP(hidden_units=(), normalize_observations=True),
    Linear(normalize_observations=True),
    Linear(features="polynomial", degree=3, normalize_observations=True),
]
PARTS = TaskSpec(
    id="Parts-v0",
    observation={
        "bits": ArraySpec(shape=(3,), dtype="uint8", high=(1.0,)),
        "place": ArraySpec(shape=(2,), dtype="float32"),
        "cell": ArraySpec(shape=(), dtype="int32", categories=4),
        "counts": ArraySpec(shape=(2, 2), dtype="int32", frame_stack=2),
        "board": ArraySpec(shape=(2, 3), dtype="float32", bounds=((-1.0, 1.0),)),
        "picture": ArraySpec(shape=(2, 2, 1), dtype="float32", high=(40.0,), bounds=((0.0, 40.0),)),
        "table": ArraySpec(shape=(2, 3), dtype="float32", bounds=((None, None),)),
    },
    actions=discrete(3),
)
NORMALISED = ["place", "counts", "table"]


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_numbers_alone_are_normalised_and_numpy_does_it_alike(network: Network, size: int) -> None:
    config, rng = Config(network=network, ensemble=Ensemble(size=size)), np.random.default_rng(0)
    made = network_to_load(config, PARTS)
    assert list(made.statistics) == NORMALISED
    weights = random_weights(made.named_weights(), rng)
    made.load_named_weights(weights)
    observation = observations(PARTS, 5, rng)
    in_numpy = numpy_q_function(config, PARTS)
    assert in_numpy is not None
    expected = in_numpy(weights, observation)
    found = made({key: tf.constant(array) for key, array in observation.items()})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("size", [1, 2])
def test_normalised_by_hand_and_given_to_a_network_without_it_is_the_same(size: int) -> None:
    plain = Config(network=MLP(hidden_units=(6, 5)), ensemble=Ensemble(size=size))
    normal = Config(network=MLP(hidden_units=(6, 5), normalize_observations=True), ensemble=Ensemble(size=size))
    spec, rng = vector_spec(), np.random.default_rng(1)
    networks = [network_to_load(config, spec) for config in (plain, normal)]
    weights = random_weights(networks[0].named_weights(), rng)
    mean, variance = np.array([5.0, -3.0, 0.0], np.float32), np.array([4.0, 1.0, 1e-2], np.float32)
    counted = {"mean": mean, "variance": variance, "count": np.float32(7)}
    leading = () if size == 1 else (size,)
    statistics = {
        f"observation_statistics/{name}": np.broadcast_to(value, (*leading, *value.shape))
        for name, value in counted.items()
    }
    networks[0].load_named_weights(weights)
    networks[1].load_named_weights(weights | statistics)
    x = rng.normal(size=(20, 3)).astype(np.float32)
    by_hand = np.clip((x - mean) / np.sqrt(variance + 1e-8), -10, 10)
    expected = networks[0]({"observation": tf.constant(by_hand)})[0]
    np.testing.assert_allclose(networks[1]({"observation": tf.constant(x)})[0], expected, rtol=1e-4, atol=1e-5)


def test_a_task_without_numbers_is_refused_in_one_line() -> None:
    spec = TaskSpec(id="Cells-v0", observation={"cell": PARTS.observation["cell"]}, actions=discrete(3))
    config = Config(network=MLP(normalize_observations=True))
    start = r"^network\.normalize_observations = true: Cells-v0 observes no numbers of unknown scale; "
    for make in (network_to_load, numpy_q_function):
        with pytest.raises(ConfigError, match=start):
            make(config, spec)


def test_acting_has_a_choice_of_device_with_the_networks_that_numpy_does_not_compute() -> None:
    found = {kind: Config(network=each()) for kind, each in kinds(Network).items() if not is_own(each)}
    computed_by_numpy = {kind for kind, each in found.items() if TORSOS.of(each.network).in_numpy is not None}
    assert {kind for kind, each in found.items() if any(lacking_needs(each, "acting", "device"))} == computed_by_numpy
    heads = [HEADS.of(each()) for each in kinds(Agent).values() if not is_own(each)]
    assert None not in [each.in_numpy for each in heads]
