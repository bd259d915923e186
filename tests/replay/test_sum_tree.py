"""Draws from the tree against a cumulative sum, and its sums against NumPy's, bit for bit where they must be."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.replay.sum_tree import SumTree


def draws(tree: SumTree, fractions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    leaves, probability = tf.function(tree.draw, autograph=False)(tf.constant(fractions))
    return leaves.numpy(), probability.numpy()


@pytest.mark.parametrize("uses_xla", [True, False])
@pytest.mark.parametrize("size", [1, 2, 5, 1000, 20_000])
def test_a_fraction_of_the_total_lies_in_the_leaf_of_the_cumulative_sum(size: int, uses_xla: bool) -> None:
    rng = np.random.default_rng(0)
    leaves = rng.integers(0, 50, size).astype(float)  # whole numbers: no rounding; many are 0
    leaves[rng.integers(size)] = 7
    tree = SumTree(size, uses_xla)
    tree.load(leaves)
    fractions = rng.random(3000)
    drawn, probability = draws(tree, fractions)
    np.testing.assert_array_equal(drawn, np.searchsorted(leaves.cumsum(), fractions * leaves.sum(), side="right"))
    np.testing.assert_allclose(probability, leaves[drawn] / leaves.sum(), rtol=1e-12)
    assert probability.min() > 0


@pytest.mark.parametrize("uses_xla", [True, False])
def test_a_fraction_at_a_leafs_end_lies_in_the_next_that_has_any(uses_xla: bool) -> None:
    """Of the total, 8, every eighth is exact; the first leaf, and two in the middle, have nothing."""
    tree = SumTree(7, uses_xla)
    tree.load(np.array([0.0, 1.0, 2.0, 0.0, 0.0, 4.0, 1.0]))
    drawn, probability = draws(tree, np.arange(8) / 8)
    np.testing.assert_array_equal(drawn, [1, 2, 2, 5, 5, 5, 5, 6])
    np.testing.assert_array_equal(probability * 8, [1, 2, 2, 4, 4, 4, 4, 1])


def test_leaves_written_count_when_they_are_refreshed_and_give_the_tree_of_all_leaves() -> None:
    rng = np.random.default_rng(1)
    leaves = rng.random(20_000)
    tree, anew = SumTree(20_000, uses_xla=False), SumTree(20_000, uses_xla=False)
    tree.load(leaves)
    for count in (1, 32, 6000):
        written = rng.choice(20_000, count, replace=False)
        leaves[written] = rng.random(count) * 100
        tree.write(written, leaves[written])
        tf.function(tree.refresh, autograph=False)(tf.constant(np.concatenate([written, written[:7]])))
    anew.load(leaves)
    fractions = rng.random(5000)
    for ours, theirs in zip(draws(tree, fractions), draws(anew, fractions), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(tree.leaves(20_000), leaves)


def test_the_largest_fraction_finds_the_last_leaf_that_has_any() -> None:
    """Sums of tenths are rounded, and what is left over lies in no leaf of nothing."""
    leaves = np.zeros(1000)
    leaves[:700] = 0.1
    tree = SumTree(1000, uses_xla=True)
    tree.load(leaves)
    drawn, _ = draws(tree, np.array([0.0, np.nextafter(1.0, 0.0)]))
    np.testing.assert_array_equal(drawn, [0, 699])


@pytest.mark.parametrize("uses_xla", [True, False])
def test_a_leaf_written_and_not_yet_refreshed_leads_to_none_of_nothing(uses_xla: bool) -> None:
    tree = SumTree(4, uses_xla)
    tree.load(np.array([0.0, 0.0, 4.0, 0.0]))
    tree.write(np.array([2]), np.array([1.0]))  # the sums are still those of 4
    drawn, _ = draws(tree, np.array([0.1, 0.9]))
    np.testing.assert_array_equal(drawn, [2, 2])


def test_draws_are_the_same_by_xla_and_without_and_then_read_only_the_nodes_on_their_way() -> None:
    rng = np.random.default_rng(2)
    leaves, fractions = rng.random(20_000), rng.random(3000)
    trees = [SumTree(20_000, uses_xla) for uses_xla in (True, False)]
    for tree in trees:
        tree.load(leaves)
    for ours, theirs in zip(*(draws(tree, fractions) for tree in trees), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    graph = tf.function(trees[1].draw, autograph=False).get_concrete_function(tf.constant(fractions)).graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for each in definition.library.function for node in each.node_def)]
    assert "ReadVariableOp" not in {node.op for node in nodes}  # which copies the whole tree
