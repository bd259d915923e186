"""`Noise`: the seeded randomness of one forward pass, the same however a batch is divided.

Every draw is a pure function of (key, step, what is drawn): nothing is stored, and a run that is resumed goes on with
the draws that it would have made.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.randomness import derived_seed

_GOLDEN = 0x9E3779B9  # 2³² / the golden ratio: multiples of it spread evenly


class Noise(NamedTuple):
    """What a forward pass draws from."""

    key: int  # below 2³¹, of the stream
    step: tf.Tensor | tf.Variable  # int64, the draw's number in the stream
    first: int | tf.Tensor = 0  # where this part of a batch begins in the whole one

    def split(self, name: str, index: int = 0) -> "Noise":
        """Another stream, independent of this one."""
        return self._replace(key=derived_seed(self.key, name, index))

    def normal(self, *shape: int) -> tf.Tensor:
        """Standard normal numbers float32[shape], which all examples of a batch share."""
        seed = tf.stack([tf.constant(self.key, tf.int64), tf.cast(self.step, tf.int64)])
        return tf.random.stateless_normal(shape, seed, alg="philox")

    def uniform(self, rows: int | tf.Tensor, columns: int) -> tf.Tensor:
        """Numbers float32[rows, columns] in [0, 1), each example's own: a row's depend on its place in the batch."""
        step = mix(tf.cast(tf.cast(self.step, tf.int64) & 0xFFFFFFFF, tf.uint32) + tf.constant(self.key, tf.uint32))
        place = tf.cast(tf.range(rows) + self.first, tf.uint32)
        row = mix(tf.bitwise.bitwise_xor(place * tf.constant(_GOLDEN, tf.uint32), step))
        return uniform(mix(tf.bitwise.bitwise_xor(row[:, tf.newaxis], scattered(np.arange(columns), self.key))))


def mix(words: tf.Tensor) -> tf.Tensor:
    """uint32 → uint32, one to one, each bit of the one on half the other's: MurmurHash3's finalizer (Appleby 2011)."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        words = _shifted_in(words, shift) * tf.constant(factor, tf.uint32)
    return _shifted_in(words, 16)


def scattered(indices: np.ndarray, salt: int) -> tf.Tensor:
    """A constant uint32 for each small index, unlike that of any other."""
    return mix(tf.constant(((indices + 1) * _GOLDEN + salt) % 2**32, tf.uint32))


def uniform(words: tf.Tensor) -> tf.Tensor:
    """uint32 → float32 in [0, 1), from its upper 24 bits, which float32 holds exactly."""
    return tf.cast(tf.bitwise.right_shift(words, tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24


def _shifted_in(words: tf.Tensor, shift: int) -> tf.Tensor:
    shifted = tf.bitwise.right_shift(words, tf.constant(shift, tf.uint32))
    return tf.bitwise.bitwise_xor(words, shifted)
