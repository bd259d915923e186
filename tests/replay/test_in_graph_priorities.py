"""Priorities of a ring of rows against a list of its rows: inserted, written over, updated, drawn."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tests.support.random_episodes import VECTOR
from tfdqn.config import Config, Learner, Priorities
from tfdqn.replay.in_graph import InGraphReplay
from tfdqn.replay.in_graph_priorities import InGraphPriorities
from tfdqn.replay.interfaces import ItemPriorities

ALPHA, EPSILON = 0.7, 0.25
UNKNOWN = np.full(4, np.nan, np.float32)


class Rows:
    """What was inserted, one priority a row, and the largest so far."""

    def __init__(self) -> None:
        self.priorities: list[float] = []
        self.largest = 1.0

    def of(self, errors: np.ndarray) -> list[float]:
        self.largest = max([self.largest, *(error + EPSILON for error in errors if not np.isnan(error))])
        return [self.largest if np.isnan(error) else error + EPSILON for error in errors]

    def expected(self, capacity: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys of the rows that are still stored, the oldest first, and with what probability each is drawn."""
        keys = np.arange(len(self.priorities))[-capacity:]
        powers = np.array(self.priorities)[keys] ** ALPHA
        return keys, powers / powers.sum()


def some_errors(count: int, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(count) < 0.2, np.nan, rng.gamma(1.0, size=count)).astype(np.float32)


@pytest.mark.parametrize(("capacity", "seed"), [(11, 0), (11, 1), (11, 2), (9_000, 3)])  # the last: of three levels
def test_rows_are_drawn_by_what_was_last_known_of_them(capacity: int, seed: int) -> None:
    rng, rows, inserted = np.random.default_rng(seed), Rows(), 0
    config = Config(priorities=Priorities(exponent=ALPHA, epsilon=EPSILON), learner=Learner(xla="off"))
    table = InGraphPriorities(config, capacity, threading.Lock())
    draw = tf.function(lambda fractions: table.draw(lambda: fractions), autograph=False)
    for round_ in range(12):
        for _ in range(rng.integers(1, 4)):
            count = int(rng.integers(1, capacity + 1))
            errors = some_errors(count, rng)
            if rng.random() < 0.4:
                errors[:] = np.nan
            positions = np.arange(inserted, inserted + count) % capacity
            inserted += count
            table.insert(positions, inserted, errors)
            rows.priorities += rows.of(errors)
        if round_ % 2:
            # Of all rows that are stored, the oldest included, and of some just written over; of some twice.
            keys = rng.permutation(np.arange(max(0, inserted - capacity - 4), inserted))
            keys = np.concatenate([keys, keys[:5], [max(0, inserted - capacity)]])
            errors = np.abs(rng.normal(size=len(keys))).astype(np.float32) * 3
            table.update(ItemPriorities(keys[:, np.newaxis], errors))
            for key, priority in zip(keys, rows.of(errors), strict=True):
                rows.priorities[key] = priority
        keys, probability = rows.expected(capacity)
        by_position = np.argsort(keys % capacity)
        keys, probability = keys[by_position], probability[by_position]
        positions, drawn = draw(tf.constant(np.cumsum(probability) - probability / 2))
        np.testing.assert_array_equal(positions, keys % capacity)
        np.testing.assert_array_equal(drawn.keys[:, 0], keys)
        np.testing.assert_allclose(drawn.probability, probability, rtol=1e-5)


def test_every_row_that_is_new_at_a_draw_is_drawn() -> None:
    """One more each time, wherever in the tree's rows of 32 that is."""
    config = Config(priorities=Priorities(exponent=ALPHA, epsilon=EPSILON), learner=Learner(xla="off"))
    table = InGraphPriorities(config, 100, threading.Lock())
    draw = tf.function(lambda fractions: table.draw(lambda: fractions), autograph=False)
    for stored in range(1, 100):
        table.insert(np.array([stored - 1]), stored, UNKNOWN[:1])
        positions, drawn = draw(tf.constant([1 - 1e-6], tf.float64))
        assert positions.numpy() == [stored - 1]
        np.testing.assert_allclose(drawn.probability, 1 / stored, rtol=1e-6)


def test_a_row_that_an_update_names_several_times_is_written_once_with_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Several threads may write what one operation is given, in any order."""
    written: list[tuple[np.ndarray, np.ndarray]] = []
    config = Config(priorities=Priorities(exponent=1.0, epsilon=EPSILON), learner=Learner(xla="off"))
    table = InGraphPriorities(config, 4, threading.Lock())
    table.insert(np.array([2, 3, 0, 1]), 6, UNKNOWN[:4])
    monkeypatch.setattr(table._tree, "write", lambda leaves, values: written.append((leaves, values)))
    # Of six rows the first two have been written over by the last two.
    keys = np.array([[2], [5], [0], [2], [3], [5], [1]])
    table.update(ItemPriorities(keys, np.arange(7, dtype=np.float32)))
    ((leaves, values),) = written
    assert dict(zip(leaves.tolist(), values.tolist(), strict=True)) == {2: 3.25, 3: 4.25, 1: 5.25}
    assert len(leaves) == 3


def test_the_state_of_a_checkpoint_counts_the_errors_of_rows_that_wait_until_its_rows_are_saved() -> None:
    priorities = Priorities(exponent=ALPHA, epsilon=EPSILON)
    table = InGraphReplay(Config(priorities=priorities, learner=Learner(xla="off")), VECTOR)
    table._insert(np.zeros((2, table._layout.row_bytes), np.uint8), np.array([7.0, np.nan], np.float32))
    assert table.state()["largest_priority"] == 7.0 + EPSILON
