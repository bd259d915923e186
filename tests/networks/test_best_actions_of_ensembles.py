"""Aggregations of K Q-functions: worked out by hand, against a slow oracle, and equal in TensorFlow and NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.networks.best_actions import Aggregation, aggregate, aggregate_numpy

AGGREGATIONS: tuple[Aggregation, ...] = ("mean", "majority", "minimum")
# Three members, two states, three actions.
Q = np.array([[[1, 2, 3], [5, 0, 4]], [[4, 9, 1], [0, 6, 5]], [[1, 5, 6], [1, 0, 9]]], np.float32)


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("mean", [[2, 16 / 3, 10 / 3], [2, 2, 6]]),
        ("minimum", [[1, 2, 1], [0, 0, 4]]),
        # Best actions 2, 1, 2: two votes for 2, which wins. Then 0, 1, 2: a vote each, and 2 has the highest mean.
        ("majority", [[0, 1, 2.5], [1, 1, 1.5]]),
    ],
)
def test_aggregates_worked_out_by_hand(aggregation: Aggregation, expected: list) -> None:
    np.testing.assert_allclose(aggregate_numpy(Q, None, aggregation), expected, rtol=1e-6)
    np.testing.assert_allclose(aggregate(tf.constant(Q), None, aggregation), expected, rtol=1e-6)


def test_votes_go_to_legal_actions_alone() -> None:
    legal = np.array([[True, True, False], [True, True, False]])
    # Best legal actions 1, 1, 1; then 0, 1, 0.
    expected = [[0, 3.5, 0], [2.5, 1, 0]]
    np.testing.assert_array_equal(aggregate_numpy(Q, legal, "majority"), expected)
    np.testing.assert_array_equal(aggregate(tf.constant(Q), tf.constant(legal), "majority"), expected)


def test_equal_values_go_to_the_first_action() -> None:
    q = np.array([[[1, 0, 0, 1]], [[0, 1, 1, 0]]], np.float32)  # votes for 0 and 1; every mean is 1/2
    np.testing.assert_array_equal(aggregate_numpy(q, None, "majority"), [[1.5, 1, 0, 0]])
    np.testing.assert_array_equal(aggregate(tf.constant(q), None, "majority"), [[1.5, 1, 0, 0]])


def test_a_state_without_legal_actions_gives_finite_numbers() -> None:
    none = np.zeros((2, 3), bool)
    for aggregation in AGGREGATIONS:
        assert np.isfinite(aggregate_numpy(Q, none, aggregation)).all()
        assert np.isfinite(aggregate(tf.constant(Q), tf.constant(none), aggregation)).all()


def action_of(q: np.ndarray, legal: np.ndarray, aggregation: Aggregation) -> int:
    """The ensemble's action in one state, the slow way: q float32[K, A], legal bool[A]."""
    actions = [a for a in range(q.shape[1]) if legal[a]]
    if aggregation == "mean":
        return max(actions, key=lambda a: (q[:, a].mean(), -a))
    if aggregation == "minimum":
        return max(actions, key=lambda a: (q[:, a].min(), -a))
    best = [max(actions, key=lambda a: (member[a], -a)) for member in q]
    return max(actions, key=lambda a: (best.count(a), q[:, a].mean(), -a))


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("members", [1, 2, 5])
def test_numpy_and_tensorflow_choose_the_action_of_the_slow_way(
    members: int, aggregation: Aggregation, compiled: bool
) -> None:
    rng = np.random.default_rng(members)
    q = rng.normal(size=(members, 500, 4)).astype(np.float32)
    q[:, 250:] = q[:, 250:].round()  # equal values among them
    legal = rng.random((500, 4)) < 0.6
    legal[np.arange(500), rng.integers(4, size=500)] = True
    in_numpy = aggregate_numpy(q, legal, aggregation)
    call = tf.function(aggregate, autograph=False, jit_compile=compiled)
    in_tensorflow = call(tf.constant(q), tf.constant(legal), aggregation).numpy()
    assert in_numpy.dtype == in_tensorflow.dtype == np.float32
    assert in_numpy.shape == in_tensorflow.shape == (500, 4)
    np.testing.assert_allclose(in_numpy, in_tensorflow, rtol=1e-5, atol=1e-6)
    expected = [action_of(q[:, b], legal[b], aggregation) for b in range(500)]
    for values in (in_numpy, in_tensorflow):
        np.testing.assert_array_equal(np.where(legal, values, -np.inf).argmax(axis=1), expected)
