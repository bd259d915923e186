"""Clipping a gradient by its global norm: over all weights of one network, and of each member of an ensemble apart."""

import tensorflow as tf


def clipped(
    gradients: list[tf.Tensor], max_norm: float, members: int = 1
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """(g · min(1, max_norm / ‖g‖), ‖g‖ float32): ‖g‖ runs over all weights together. max_norm 0: nothing is clipped.

    With several members every gradient leads with them: each member's is clipped by its own norm, as if it were alone,
    and the norm given is their mean.
    """
    if members > 1:
        return _clipped_apart(gradients, max_norm)
    norm = tf.linalg.global_norm(gradients)
    if max_norm:
        gradients, _ = tf.clip_by_global_norm(gradients, max_norm, norm)
    return gradients, norm


def _clipped_apart(gradients: list[tf.Tensor], max_norm: float) -> tuple[list[tf.Tensor], tf.Tensor]:
    squares = [tf.reduce_sum(tf.square(each), axis=tuple(range(1, each.shape.rank))) for each in gradients]
    norms = tf.sqrt(tf.add_n(squares))
    if max_norm:
        # What is not finite stays so, as in tf.clip_by_global_norm: inf · 0.
        factors = max_norm / tf.maximum(norms, max_norm)
        gradients = [each * tf.reshape(factors, [-1] + [1] * (each.shape.rank - 1)) for each in gradients]
    return gradients, tf.reduce_mean(norms)
