"""The best legal actions by Q-values, and the values of an ensemble's Q-functions together; in TensorFlow and in NumPy.

To aggregate networks that were trained separately, stack their weights by name: these are the weights of an ensemble.
"""

from typing import Literal

import numpy as np
import tensorflow as tf

from tfdqn.types import LegalActions

Aggregation = Literal["mean", "majority", "minimum"]


def only_legal(q: tf.Tensor, legal_actions: tf.Tensor | None) -> tf.Tensor:
    """Replaces the values q […, B, A] of illegal actions by the lowest float (bool[B, A]; None: all are legal)."""
    return q if legal_actions is None else tf.where(legal_actions, q, q.dtype.min)


def only_legal_numpy(q: np.ndarray, legal_actions: LegalActions) -> np.ndarray:
    """`only_legal` on NumPy arrays."""
    return q if legal_actions is None else np.where(legal_actions, q, np.finfo(q.dtype).min)


def best_value_numpy(q: np.ndarray, legal_actions: LegalActions) -> np.ndarray:
    """max_a Q(s, a) float32[B] over the legal actions; with branches, q [B, D, A], the mean of their maxima."""
    best: np.ndarray = only_legal_numpy(q, legal_actions).max(axis=-1)
    return best if best.ndim == 1 else best.mean(axis=-1)


def greedy(q: tf.Tensor, legal_actions: tf.Tensor | None) -> tf.Tensor:
    """The best legal action int32[…, B] by q […, B, A], counted from 0; the first of equally good ones."""
    return tf.argmax(only_legal(q, legal_actions), axis=-1, output_type=tf.int32)


def greedy_numpy(q: np.ndarray, legal_actions: LegalActions) -> np.ndarray:
    """`greedy` on NumPy arrays."""
    return only_legal_numpy(q, legal_actions).argmax(axis=-1).astype(np.int32)


def aggregate(q: tf.Tensor, legal_actions: tf.Tensor | None, aggregation: Aggregation) -> tf.Tensor:
    """Aggregates Q float32[K, B, A] into float32[B, A], by which the ensemble takes the best legal action.

    - mean, minimum: of the K Q-values. The minimum is that of Maxmin Q-learning (Lan et al. 2020).
    - majority: the number of members whose best legal action it is, 0 to K, and half a vote more for the winner, which
      among the actions with the most votes has the highest mean Q. So illegal actions have no votes.
    """
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
