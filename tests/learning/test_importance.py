"""Importance weights against the formula by hand: over all parts of a batch, and over all processes."""

import numpy as np
import tensorflow as tf

from tfdqn.config import Priorities
from tfdqn.learning.importance import importance_exponent, weighted
from tfdqn.replay.interfaces import Draw, Sample


def batches(*parts: list[list[float]]) -> list[Sample]:
    return [
        Sample(tf.zeros([len(part), len(part[0])]), None, Draw(tf.constant(part), tf.zeros([1], tf.int64)))
        for part in parts
    ]


def test_weights_are_the_papers() -> None:
    """N = 10, β = 1/2: (N P)^−β is (1)^−½, (0.25)^−½ = 2 and (4)^−½ = ½; over the largest: ½, 1 and ¼."""
    settings = Priorities(exponent=0.6, importance_start=0.5, importance_end=0.5)
    (batch,) = weighted(batches([[0.1, 0.025, 0.4]]), settings, tf.Variable(7, dtype=tf.int64))
    np.testing.assert_allclose(batch.weights, [[0.5, 1.0, 0.25]], rtol=1e-6)
    assert batch.draw is None


def test_the_largest_is_that_of_all_parts_of_an_update_and_of_no_other() -> None:
    """β = 1: weights are the smallest P over each P; 0.1 is in the other part, 0.01 in the other update."""
    settings = Priorities(exponent=0.6, importance_start=1.0)
    first, second = weighted(
        batches([[0.2, 0.4], [0.5, 0.05]], [[0.1, 0.8], [0.01, 0.1]]), settings, tf.Variable(0, dtype=tf.int64)
    )
    np.testing.assert_allclose(first.weights, [[0.5, 0.25], [0.02, 0.2]], rtol=1e-6)
    np.testing.assert_allclose(second.weights, [[1.0, 0.125], [1.0, 0.1]], rtol=1e-6)


def test_the_largest_is_that_of_all_processes() -> None:
    settings = Priorities(exponent=0.6, importance_start=1.0)
    (batch,) = weighted(
        batches([[0.2, 0.4]]), settings, tf.Variable(0, dtype=tf.int64), lambda least: tf.minimum(least, 0.1)
    )
    np.testing.assert_allclose(batch.weights, [[0.5, 0.25]], rtol=1e-6)


def test_the_exponent_goes_linearly_from_the_one_number_to_the_other_and_each_update_has_its_own() -> None:
    settings = Priorities(exponent=0.6, importance_start=0.4, importance_end=1.0, importance_train_steps=6)
    steps = tf.constant([0, 1, 3, 6, 1000], tf.int64)
    np.testing.assert_allclose(importance_exponent(settings, steps), [0.4, 0.5, 0.7, 1.0, 1.0], rtol=1e-6)
    (batch,) = weighted(batches([[0.4, 0.1], [0.4, 0.1]]), settings, tf.Variable(2, dtype=tf.int64))
    np.testing.assert_allclose(batch.weights[:, 0], [4**-0.6, 4**-0.7], rtol=1e-6)  # β after 2 and 3 updates


def test_what_is_drawn_uniformly_has_no_weights_but_its_own() -> None:
    sample = Sample(tf.zeros([1, 2]), tf.constant([[0.3, 0.7]]))
    assert weighted([sample], Priorities(), tf.Variable(0, dtype=tf.int64))[0] is sample
