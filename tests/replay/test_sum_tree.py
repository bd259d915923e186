"""Draws from the tree against a cumulative sum, and its sums against NumPy's, bit for bit where they must be."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.replay.sum_tree import SumTree


def draws(tree: SumTree, fractions: np.ndarray, uses_xla: bool = False) -> tuple[np.ndarray, np.ndarray]:
    drawn = tf.function(tree.draw, jit_compile=uses_xla, autograph=False)(tf.constant(fractions))
    return drawn.leaves.numpy(), drawn.probability.numpy()


@pytest.mark.parametrize("uses_xla", [True, False])
@pytest.mark.parametrize("size", [1, 2, 5, 1000, 20_000, 200_000])
def test_a_fraction_of_the_total_lies_in_the_leaf_of_the_cumulative_sum(size: int, uses_xla: bool) -> None:
    rng = np.random.default_rng(0)
    leaves = rng.integers(0, 50, size).astype(float)  # whole numbers: no rounding; many are 0
    leaves[rng.integers(size)] = 7
    tree = SumTree(size, uses_xla)
    tree.load(leaves)
    fractions = rng.random(3000)
    drawn, probability = draws(tree, fractions, uses_xla)
    np.testing.assert_array_equal(drawn, np.searchsorted(leaves.cumsum(), fractions * leaves.sum(), side="right"))
    np.testing.assert_allclose(probability, leaves[drawn] / leaves.sum(), rtol=1e-12)
    assert probability.min() > 0


@pytest.mark.parametrize("uses_xla", [True, False])
def test_a_fraction_at_a_leafs_end_lies_in_the_next_that_has_any(uses_xla: bool) -> None:
    """Of the total, 8, every eighth is exact; the first leaf, and two in the middle, have nothing."""
    tree = SumTree(7, uses_xla)
    tree.load(np.array([0.0, 1.0, 2.0, 0.0, 0.0, 4.0, 1.0]))
    drawn, probability = draws(tree, np.arange(8) / 8, uses_xla)
    np.testing.assert_array_equal(drawn, [1, 2, 2, 5, 5, 5, 5, 6])
    np.testing.assert_array_equal(probability * 8, [1, 2, 2, 4, 4, 4, 4, 1])


def assert_same(ours: SumTree, leaves: np.ndarray) -> None:
    """A tree is the one that has these leaves from the beginning."""
    anew = SumTree(len(leaves), uses_xla=False)
    anew.load(leaves)
    np.testing.assert_array_equal(ours.leaves(len(leaves)), leaves)
    fractions = np.random.default_rng(3).random(5000)
    for found, expected in zip(draws(ours, fractions), draws(anew, fractions), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_leaves_written_count_when_they_are_refreshed_and_give_the_tree_of_all_leaves() -> None:
    rng = np.random.default_rng(1)
    leaves = rng.random(200_000)
    tree = SumTree(200_000, uses_xla=False)
    tree.load(leaves)
    for count in (1, 32, 0, 6000, 100_000):
        written = rng.choice(200_000, count, replace=False)
        leaves[written] = rng.random(count) * 100
        tree.write(written, leaves[written])
        tree.refresh(np.concatenate([written, written[:7]]))
    assert_same(tree, leaves)


@pytest.mark.parametrize("size", [1, 31, 33, 5000, 70_000])
def test_leaves_that_follow_one_another_are_refreshed_round_the_end(size: int) -> None:
    rng = np.random.default_rng(size)
    leaves = rng.random(size)
    tree = SumTree(size, uses_xla=False)
    tree.load(leaves)
    refresh_from = tf.function(tree.refresh_from, autograph=False)
    for count in (1, size // 40, size // 3, size - 1, size):
        for first in (0, 31 % size, size // 2, size - 1, int(rng.integers(size))):
            written = (first + np.arange(count)) % size
            leaves[written] = rng.random(count) * 100
            tree.write(written, leaves[written])
            refresh_from(tf.constant(first, tf.int64), tf.constant(count, tf.int64))
        assert_same(tree, leaves)


@pytest.mark.parametrize("uses_xla", [True, False])
def test_the_largest_fraction_finds_the_last_leaf_that_has_any(uses_xla: bool) -> None:
    """Such sums are rounded, and what is left over lies in no leaf of nothing."""
    rng = np.random.default_rng(4)
    tree = SumTree(1000, uses_xla)
    draw = tf.function(tree.draw, jit_compile=uses_xla, autograph=False)
    for filled in (1, *range(33, 64), 700, 999):
        for _ in range(4):
            leaves = np.zeros(1000)
            leaves[:filled] = 10 ** rng.uniform(-4, 2, filled)
            tree.load(leaves)
            drawn = draw(tf.constant([0.0, np.nextafter(1.0, 0.0)], tf.float64))
            np.testing.assert_array_equal(drawn.leaves, [0, filled - 1])


@pytest.mark.parametrize("uses_xla", [True, False])
def test_a_leaf_written_and_not_yet_refreshed_leads_to_none_of_nothing(uses_xla: bool) -> None:
    tree = SumTree(4, uses_xla)
    tree.load(np.array([0.0, 0.0, 4.0, 0.0]))
    tree.write(np.array([2]), np.array([1.0]))  # the sums are still those of 4
    drawn, _ = draws(tree, np.array([0.1, 0.9]), uses_xla)
    np.testing.assert_array_equal(drawn, [2, 2])


def test_draws_are_the_same_by_xla_and_without_and_then_read_only_the_rows_on_their_way() -> None:
    rng = np.random.default_rng(2)
    leaves, fractions = rng.random(200_000), rng.random(3000)
    found = []
    for uses_xla in (True, False):
        tree = SumTree(200_000, uses_xla)
        tree.load(leaves)
        found.append(draws(tree, fractions, uses_xla))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    graph = tf.function(tree.draw, autograph=False).get_concrete_function(tf.constant(fractions)).graph
    read = [op.outputs[0].shape.num_elements() for op in graph.get_operations() if op.type == "ReadVariableOp"]
    assert max(read) <= 4096  # a variable that is read is copied whole
