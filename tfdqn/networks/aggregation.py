"""How K Q-functions become one: a number per action, whose best legal one is the ensemble's action.

Each is a pure function of Q float32[K, B, A] and legal actions bool[B, A] (none: all are legal), once in
TensorFlow, once in NumPy. To aggregate networks that were trained apart, stack their weights name by name: that is
an ensemble's weights.

- mean, minimum: of the K Q-values. The minimum is that of Maxmin Q-learning (Lan et al. 2020).
- majority: how many members' best legal action it is, 0 to K, and half a vote more for the winner, which is the one of
  the highest mean Q among those with the most votes. So an illegal action has no vote.
"""

from typing import Literal

import numpy as np
import tensorflow as tf

Aggregation = Literal["mean", "majority", "minimum"]


def aggregate(q: tf.Tensor, legal_actions: tf.Tensor | None, aggregation: Aggregation) -> tf.Tensor:
    """Q float32[K, B, A] → float32[B, A]."""
    if aggregation == "minimum":
        return tf.reduce_min(q, axis=0)
    mean = tf.reduce_mean(q, axis=0)
    if aggregation == "mean":
        return mean
    votes = tf.reduce_sum(_one_hot_best(_only(legal_actions, q)), axis=0)
    leads = tf.equal(votes, tf.reduce_max(votes, axis=-1, keepdims=True))
    return votes + 0.5 * _one_hot_best(_only(leads, mean))


def aggregate_numpy(q: np.ndarray, legal_actions: np.ndarray | None, aggregation: Aggregation) -> np.ndarray:
    """`aggregate` on NumPy arrays."""
    if aggregation == "minimum":
        return q.min(axis=0)
    mean = q.mean(axis=0)
    if aggregation == "mean":
        return mean
    actions = np.arange(q.shape[-1])
    best = _only_numpy(legal_actions, q).argmax(axis=-1)
    votes = (best[..., np.newaxis] == actions).sum(axis=0, dtype=np.float32)
    leads = votes == votes.max(axis=-1, keepdims=True)
    winner = _only_numpy(leads, mean).argmax(axis=-1)
    return votes + np.float32(0.5) * (winner[..., np.newaxis] == actions)


def _one_hot_best(q: tf.Tensor) -> tf.Tensor:
    """1 for the first of the best, else 0."""
    return tf.one_hot(tf.argmax(q, axis=-1, output_type=tf.int32), q.shape[-1])


def _only(allowed: tf.Tensor | None, q: tf.Tensor) -> tf.Tensor:
    return q if allowed is None else tf.where(allowed, q, q.dtype.min)


def _only_numpy(allowed: np.ndarray | None, q: np.ndarray) -> np.ndarray:
    return q if allowed is None else np.where(allowed, q, np.finfo(q.dtype).min)
