"""What each member of an ensemble learns from: by hand, by a slow oracle, and as often as it should."""

from typing import Any

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_transitions, transitions, vector_spec
from tfdqn.agents.ensemble import EnsembleAgent
from tfdqn.agents.ensemble_masks import by_edges, member_weights, state_hash
from tfdqn.config import MLP, Config, Ensemble
from tfdqn.errors import ConfigError
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

SPEC = vector_spec(3, 4)
TWO_ARRAYS = TaskSpec(
    id="Dict-v0",
    observation={
        "place": ArraySpec(shape=(2, 2), dtype="float32"),
        "gear": ArraySpec(shape=(), dtype="int64", categories=6),
    },
    actions=discrete(4),
)


def weights(spec: TaskSpec, batch: Any, seed: int = 1, compiled: bool = False, **ensemble: Any) -> np.ndarray:
    config = Config(seed=seed, ensemble=Ensemble(**ensemble))
    call = tf.function(member_weights(config, spec), autograph=False, jit_compile=compiled)
    return call(batch, batch.time_step.observation, batch.next_time_step.observation).numpy()


def random_batch(spec: TaskSpec, count: int, seed: int = 1) -> Any:
    return random_transitions(spec, count, np.random.default_rng(seed))


def test_all_members_learn_from_all_examples() -> None:
    np.testing.assert_array_equal(weights(SPEC, random_batch(SPEC, 5), size=3, data="all"), np.ones((3, 5)))


@pytest.mark.parametrize("probability", [0.1, 0.5, 1.0])
def test_a_bootstrap_takes_each_example_with_its_probability_and_members_are_independent(probability: float) -> None:
    count, size = 20_000, 4
    found = weights(SPEC, random_batch(SPEC, count), size=size, data="bootstrap", mask_probability=probability)
    assert found.shape == (size, count) and found.dtype == np.float32
    np.testing.assert_allclose(np.unique(found[found > 0]), 1 / probability, rtol=1e-6)
    takes = found > 0
    deviation = (probability * (1 - probability) / count) ** 0.5
    np.testing.assert_allclose(takes.mean(axis=1), probability, atol=4.5 * deviation)
    both = np.einsum("ib,jb->ij", takes, takes, dtype=float) / count
    expected = np.where(np.eye(size, dtype=bool), probability, probability**2)
    np.testing.assert_allclose(both, expected, atol=4.5 * deviation)


@pytest.mark.parametrize("data", ["bootstrap", "hash", "partition"])
def test_a_transition_keeps_its_members_in_every_batch_and_compiled(data: str) -> None:
    settings: dict[str, Any] = {"size": 3, "data": data, "partition_edges": (-0.5, 0.5)}
    batch = random_batch(SPEC, 64)
    found = weights(SPEC, batch, **settings)
    assert len(np.unique(found, axis=1).T) > 1
    np.testing.assert_array_equal(found, weights(SPEC, batch, compiled=True, **settings))
    backwards = tf.nest.map_structure(lambda x: x[::-1], batch)
    np.testing.assert_array_equal(found, weights(SPEC, backwards, **settings)[:, ::-1])
    half = tf.nest.map_structure(lambda x: x[:32], batch)
    np.testing.assert_array_equal(found[:, :32], weights(SPEC, half, **settings))


@pytest.mark.parametrize("data", ["bootstrap", "hash"])
def test_the_runs_seed_decides_who_has_what(data: str) -> None:
    batch = random_batch(SPEC, 200)
    one, two = (weights(SPEC, batch, seed=seed, size=2, data=data) for seed in (1, 2))
    assert 0.3 < (one == two).mean() < 0.7


PARTS = ["state", "action", "reward", "discount", "next state"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("data", "matters"), [("bootstrap", PARTS), ("hash", ["state"])])
def test_a_bootstrap_is_of_the_whole_transition_and_a_hash_of_its_state(
    data: str, matters: list[str], part: str
) -> None:
    rng = np.random.default_rng(2)
    parts = {
        "state": rng.normal(size=(200, 3)).astype(np.float32),
        "action": rng.integers(4, size=200),
        "reward": rng.normal(size=200),
        "discount": rng.random(200),
        "next state": rng.normal(size=(200, 3)).astype(np.float32),
    }

    def found(parts: dict[str, np.ndarray]) -> np.ndarray:
        state, following = {"observation": parts["state"]}, {"observation": parts["next state"]}
        arrays = (state, parts["action"], parts["reward"], parts["discount"], following)
        return weights(SPEC, transitions(SPEC, *arrays), size=2, data=data)

    changed = parts | {part: (parts[part] + 1) % 4 if part == "action" else parts[part] + 0.25}
    same = (found(parts) == found(changed)).mean()
    assert 0.3 < same < 0.7 if part in matters else same == 1


def test_a_hash_gives_every_state_to_one_member_and_each_member_its_share() -> None:
    found = weights(SPEC, random_batch(SPEC, 20_000), size=5, data="hash")
    np.testing.assert_array_equal(np.sort(found, axis=0), [[0] * 20_000] * 4 + [[5] * 20_000])
    np.testing.assert_allclose(found.mean(axis=1), 1, atol=5 * 5 * 0.4 / 20_000**0.5)


def test_states_in_one_cell_hash_alike_and_categories_lie_in_none() -> None:
    inside = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    place = np.stack([inside, inside + 0.09, inside + np.array([[0, 0], [0, 0.1]]), inside, inside - 1])

    def hashes(gear: list[int], cell_size: float) -> list[int]:
        state = {"place": tf.constant(place, tf.float32), "gear": tf.constant(gear, tf.int64)}
        return state_hash(state, TWO_ARRAYS, cell_size, 0).numpy().tolist()

    first, same, beyond, other_gear, far = hashes([1, 1, 1, 2, 1], 0.5)
    assert first == same
    assert len({first, beyond, other_gear, far}) == 4
    assert len(set(hashes([1, 1, 1, 2, 1], 0.0))) == 5
    first, *_, other_gear, _ = hashes([1, 1, 1, 2, 1], 100.0)
    assert first != other_gear


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_a_partition_gives_member_k_what_is_below_edge_k(dtype: type) -> None:
    array = np.zeros((6, 2, 2), dtype)
    array[:, 1, 0] = [0, 9, 10, 19, 20, 200]
    expected = [[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]
    np.testing.assert_array_equal(by_edges(tf.constant(array), 2, (10.0, 20.0)), expected)


@pytest.mark.parametrize(("spec", "key"), [(SPEC, ""), (SPEC, "observation"), (TWO_ARRAYS, "place")])
def test_a_partition_reads_the_element_that_it_names(spec: TaskSpec, key: str) -> None:
    batch = random_batch(spec, 50)
    name = key or "observation"
    element = batch.time_step.observation[name].numpy().reshape(50, -1)[:, 2]
    found = weights(
        spec, batch, size=2, data="partition", partition_key=key, partition_index=2, partition_edges=(0.25,)
    )
    np.testing.assert_array_equal(found, 2 * np.stack([element < 0.25, element >= 0.25]))


REFUSALS = {
    'ensemble.partition_key = "speed": not observed by Dict-v0; "place" or "gear" is allowed': {
        "partition_key": "speed"
    },
    'ensemble.partition_key = "": Dict-v0 observes several arrays, name one: "place" or "gear"': {},
    'ensemble.partition_index = 4: must be below 4, the number of elements of "place", which Dict-v0 observes': {
        "partition_key": "place",
        "partition_index": 4,
    },
    'ensemble.partition_index = 1: must be below 1, the number of elements of "gear", which Dict-v0 observes': {
        "partition_key": "gear",
        "partition_index": 1,
    },
}


@pytest.mark.parametrize(("line", "keys"), REFUSALS.items(), ids=lambda each: str(each)[:40])
def test_a_partition_that_the_task_has_not_is_refused_in_one_line(line: str, keys: dict[str, Any]) -> None:
    ensemble = Ensemble(size=2, data="partition", partition_edges=(0.0,))
    config = Config(network=MLP(hidden_units=(4,)), ensemble=msgspec.structs.replace(ensemble, **keys))
    with pytest.raises(ConfigError) as caught:
        EnsembleAgent(config, TWO_ARRAYS)
    assert str(caught.value) == line
