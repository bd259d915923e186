"""Sequences in either backend: what is sampled was written, sizes are in steps, and the replay ratio counts them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.naive_sequences import STATE_SIZE, Shape, naive_sequences
from tests.support.random_episodes import VECTOR, random_steps
from tfdqn.agents.loss import Sequences
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import Replay
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.reverb.shards import DistributedReplayRatio, TableCounts
from tfdqn.types import Experience

NUM_ENVS = 3
SHAPE = Shape(burn_in=2, length=6, period=3, n_step=2)


def steps(length: int, seed: int = 0) -> tuple[list[Experience], np.ndarray]:
    rng = np.random.default_rng(seed)
    taken = random_steps(VECTOR, NUM_ENVS, length, rng, 0.1)
    return taken, rng.normal(size=(length, NUM_ENVS, STATE_SIZE)).astype(np.float32)


def write(replay: Replay, taken: list[Experience], states: np.ndarray) -> int:
    writer = replay.writer(NUM_ENVS)
    count = sum(writer.write(step._replace(policy_state=(state,))) for step, state in zip(taken, states, strict=True))
    replay.flush()
    return count


@pytest.mark.parametrize("replay", [{"backend": "in_graph"}, {}, {"shards": 2}], ids=str)
def test_what_is_sampled_was_written(replay: dict[str, Any], tmp_path: Path) -> None:
    taken, states = steps(120)
    table = make_replay(SHAPE.config(capacity=3_000, min_size=30, **replay), VECTOR, tmp_path)
    try:
        write(table, taken, states)
        sample = tf.function(table.sampler(64))()
        sequences = sample.transition
        assert isinstance(sequences, Sequences) and sample.size == 64
        expected = naive_sequences(taken, states, SHAPE)
        by_state = {(each["state"].tobytes(), int(each["first"])): each for each in expected}
        drawn = set()
        for i in range(64):
            place = (sequences.state[i].numpy().tobytes(), int(sequences.first[i]))
            drawn.add(place)
            np.testing.assert_array_equal(sequences.action[i], by_state[place]["action"])
            np.testing.assert_allclose(sequences.reward[i], by_state[place]["reward"], rtol=1e-5, atol=1e-6)
            seen = sequences.observation["observation"][i]
            np.testing.assert_array_equal(seen, by_state[place]["observation/observation"])
        assert len(drawn) > 20
    finally:
        table.close()


@pytest.mark.parametrize("backend", ["in_graph", "reverb"])
def test_a_sequence_counts_for_the_steps_until_the_next(backend: str, tmp_path: Path) -> None:
    taken, states = steps(120)
    table = make_replay(SHAPE.config(backend=backend, capacity=100, min_size=30), VECTOR, tmp_path)
    try:
        assert table.capacity == 99  # 33 sequences of 3 steps
        written = write(table, taken, states)
        state = table.state()
        table.save(tmp_path)
        assert table.size() == 99 and written > 200
    finally:
        table.close()
    again = make_replay(SHAPE.config(backend=backend, capacity=100, min_size=30), VECTOR, tmp_path)
    try:
        again.restore(tmp_path)
        again.load_state(state)
        assert again.size() == 99
    finally:
        again.close()


def test_between_processes_the_ratio_counts_steps_and_samples_sequences() -> None:
    config = SHAPE.config(capacity=900, min_size=90)
    ratio = DistributedReplayRatio(config, make_item_kind(config, VECTOR))
    assert (ratio.min_size, ratio.capacity) == (90, 900)
    counted = TableCounts(inserted=30 + 10, sampled=0, stored=40)
    assert ratio.updates_due([counted]) == 3  # 30 steps
    assert ratio.updates_due([counted._replace(sampled=2 * 128)]) == 1
    assert ratio.transitions(40) == 120
    limits = ratio.limits()
    assert limits is not None
    assert limits[0] == pytest.approx(128 / (10 / 3))  # sequences sampled for each that is inserted
