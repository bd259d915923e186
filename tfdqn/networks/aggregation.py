"""Aggregation of an ensemble's Q-functions into one value for each action; the ensemble takes the best legal action.

Aggregations are pure functions of Q float32[K, B, A] and legal actions bool[B, A] (None: all are legal), in TensorFlow
and in NumPy. To aggregate networks that were trained separately, stack their weights by name: these are the weights of
an ensemble.

- mean, minimum: of the K Q-values. The minimum is that of Maxmin Q-learning (Lan et al. 2020).
- majority: the number of members whose best legal action it is, 0 to K, and half a vote more for the winner, which
  among the actions with the most votes has the highest mean Q. So illegal actions have no votes.
"""

from typing import Literal

import numpy as np
import tensorflow as tf

from tfdqn.networks.best_actions import greedy, greedy_numpy
from tfdqn.types import LegalActions

Aggregation = Literal["mean", "majority", "minimum"]


def aggregate(q: tf.Tensor, legal_actions: tf.Tensor | None, aggregation: Aggregation) -> tf.Tensor:
    """Aggregates Q float32[K, B, A] into float32[B, A]."""
    if aggregation == "minimum":
        return tf.reduce_min(q, axis=0)
    mean = tf.reduce_mean(q, axis=0)
    if aggregation == "mean":
        return mean
    actions = q.shape[-1]
    votes = tf.reduce_sum(tf.one_hot(greedy(q, legal_actions), actions), axis=0)
    leads = tf.equal(votes, tf.reduce_max(votes, axis=-1, keepdims=True))
    return votes + 0.5 * tf.one_hot(greedy(mean, leads), actions)


def aggregate_numpy(q: np.ndarray, legal_actions: LegalActions, aggregation: Aggregation) -> np.ndarray:
    """`aggregate` on NumPy arrays."""
    if aggregation == "minimum":
        return q.min(axis=0)
    mean = q.mean(axis=0)
    if aggregation == "mean":
        return mean
    actions = np.arange(q.shape[-1])
    best = greedy_numpy(q, legal_actions)
    votes = (best[..., np.newaxis] == actions).sum(axis=0, dtype=np.float32)
    leads = votes == votes.max(axis=-1, keepdims=True)
    winner = greedy_numpy(mean, leads)
    return votes + np.float32(0.5) * (winner[..., np.newaxis] == actions)
