"""Importance weights, which correct for sampling by priority (Schaul et al. 2016, section 3.4).

w_i = (N P(i))^−β / max_j (N P(j))^−β = (P(i) / min_j P(j))^−β, so that N cancels out. The maximum is over the whole
batch of an update, however many replicas divide it; β changes linearly with train steps.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfdqn.config import Priorities
from tfdqn.replay.interfaces import Sample

Exchange = Callable[[tf.Tensor], tf.Tensor]


def weighted(
    batches: Sequence[Sample], settings: Priorities, train_steps: tf.Variable, least_of_all: Exchange = tf.identity
) -> list[Sample]:
    """Replaces the sampling probabilities in the batches of K consecutive updates by importance weights.

    Args:
      batches: this process's share of the batches, with leading axes [K, …, B], as one part or as several that together
        are the share. Batches that were sampled uniformly are returned unchanged.
      settings: the first and last β, and the train steps in between.
      train_steps: int64[], a variable or a tensor: the number of updates before these.
      least_of_all: takes float32[K] of this process, and returns the minima over all processes.
    """
    draws = [batch.draw for batch in batches]
    if any(draw is None for draw in draws):
        return list(batches)
    flat = [tf.reshape(draw.probability, [draw.probability.shape[0], -1]) for draw in draws if draw is not None]
    least = least_of_all(tf.reduce_min(tf.concat(flat, axis=1), axis=1))
    beta = importance_exponent(settings, tf.convert_to_tensor(train_steps) + tf.range(flat[0].shape[0], dtype=tf.int64))
    each = [tf.pow(probability / least[:, tf.newaxis], -beta[:, tf.newaxis]) for probability in flat]
    return [
        batch._replace(weights=tf.reshape(weights, batch.draw.probability.shape), draw=None)
        for batch, weights in zip(batches, each, strict=True)
        if batch.draw is not None
    ]


def importance_exponent(settings: Priorities, train_steps: tf.Tensor) -> tf.Tensor:
    """β for the update that follows `train_steps` train steps; int64 of any shape → float32 of that shape."""
    fraction = tf.minimum(tf.cast(train_steps / settings.importance_train_steps, tf.float32), 1.0)
    return settings.importance_start + (settings.importance_end - settings.importance_start) * fraction
