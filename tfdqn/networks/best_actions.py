"""Maxima of Q-values over legal actions, in TensorFlow and in NumPy."""

import numpy as np
import tensorflow as tf

from tfdqn.types import LegalActions


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
