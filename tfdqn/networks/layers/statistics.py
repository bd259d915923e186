"""`RunningStatistics`: normalises observations by the mean and variance of all that were learned from.

The moments of batches are merged (Chan, Golub and LeVeque 1979, equation 2.1), in any order and of any size.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

EPSILON = 1e-8  # added to the variance
CLIP = 10.0  # standard deviations from the mean, to which values are clipped


class Moments(NamedTuple):
    """The moments of vectors; with a leading axis K for an ensemble."""

    mean: tf.Tensor  # float32[…, N]
    variance: tf.Tensor  # float32[…, N]
    count: tf.Tensor  # float32[…]


class RunningStatistics(tf.keras.layers.Layer):
    """Computes clip((x − mean) / √(variance + 10⁻⁸), ±10); mean and variance are 0 and 1 until the first `add`.

    `size` is N; `leading` is (K,) for an ensemble, () for one network.
    """

    def __init__(self, leading: tuple[int, ...], size: int, name: str):
        super().__init__(name=name, dtype="float32", trainable=False)
        self.mean = self._keep("mean", (*leading, size), "zeros")
        self.variance = self._keep("variance", (*leading, size), "ones")
        self.count = self._keep("count", leading, "zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalises float32[B, N]; returns the same shape, or [K, B, N] for an ensemble."""
        mean, variance = self.mean[..., tf.newaxis, :], self.variance[..., tf.newaxis, :]
        return tf.clip_by_value((inputs - mean) * tf.math.rsqrt(variance + EPSILON), -CLIP, CLIP)

    def add(self, new: Moments) -> None:
        """Merges the moments of a batch of vectors into these."""
        self.assign(merged(self.moments, new))

    def assign(self, moments: Moments) -> None:
        """Replaces these by other moments."""
        for variable, value in zip((self.mean, self.variance, self.count), moments, strict=True):
            variable.assign(value)

    @property
    def moments(self) -> Moments:
        return Moments(*(variable.read_value() for variable in (self.mean, self.variance, self.count)))

    def _keep(self, name: str, shape: tuple[int, ...], initializer: str) -> tf.Variable:
        return self.add_weight(name, shape, initializer=initializer, trainable=False)


def moments_of(
    vectors: tf.Tensor, weights: tf.Tensor | None, total: Callable[[tf.Tensor], tf.Tensor] = tf.identity
) -> Moments:
    """Computes the moments of vectors float32[M, N]; zeros if none counts.

    `weights`, float32[M], say how often each counts; None: once. `total` returns the sum of a tensor over all replicas.
    """
    counts = tf.ones(tf.shape(vectors)[:1]) if weights is None else weights
    count = total(tf.reduce_sum(counts))
    by = counts[:, tf.newaxis]
    mean = tf.math.divide_no_nan(total(tf.reduce_sum(by * vectors, axis=0)), count)
    squares = total(tf.reduce_sum(by * tf.square(vectors - mean), axis=0))
    return Moments(mean, tf.math.divide_no_nan(squares, count), count)


def merged(old: Moments, new: Moments) -> Moments:
    """Merges two moments. Those of one network, as `new`, may be merged into those of all members of an ensemble."""
    count = old.count + new.count
    part = tf.math.divide_no_nan(new.count, count)[..., tf.newaxis]
    away = new.mean - old.mean
    variance = (1 - part) * old.variance + part * new.variance + part * (1 - part) * tf.square(away)
    return Moments(old.mean + part * away, variance, count)
