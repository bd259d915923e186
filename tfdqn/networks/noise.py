"""`Noise`: seeded randomness for a forward pass, which doesn't depend on how a batch is divided.

Every draw is a pure function of the key, the step and the index of the number: nothing is stored, and a resumed run
continues with the draws that it would have made.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.randomness import derived_seed

_GOLDEN = 0x9E3779B9  # 2³² / the golden ratio, whose multiples are evenly distributed
# Taylor coefficients of sin(π t) / t in powers of t². For |t| <= ½, float32 doesn't resolve a seventh term.
_COEFFICIENTS = [np.float32((-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1)) for k in range(6)]


class Noise(NamedTuple):
    """A stream of random numbers at one of its steps."""

    key: int  # the stream's key, below 2³¹
    step: tf.Tensor | tf.Variable  # int64, the number of the draw in the stream
    first: int | tf.Tensor = 0  # the index in the whole batch at which this part of it begins

    def split(self, name: str, index: int = 0) -> "Noise":
        """Returns another stream, independent of this one."""
        return self._replace(key=derived_seed(self.key, name, index))

    def normal(self, *shape: int) -> tf.Tensor:
        """Draws standard normal numbers float32[shape], which all examples of a batch share, by Box and Muller 1958.

        TensorFlow's stateless random numbers are different under XLA.
        """
        words = mix(tf.bitwise.bitwise_xor(scattered(np.arange(math.prod(shape)), self.key), self._number()))
        radius = tf.sqrt(-2.0 * tf.math.log(1.0 - uniform(words)))
        turns = uniform(mix(tf.bitwise.invert(words)))
        return tf.reshape(radius * cos_pi(2.0 * turns), shape)

    def uniform(self, rows: int | tf.Tensor, columns: int) -> tf.Tensor:
        """Draws float32[rows, columns] in [0, 1), different for each example by its place in the whole batch."""
        place = tf.cast(tf.range(rows) + self.first, tf.uint32)
        row = mix(tf.bitwise.bitwise_xor(place * tf.constant(_GOLDEN, tf.uint32), self._number()))
        return uniform(mix(tf.bitwise.bitwise_xor(row[:, tf.newaxis], scattered(np.arange(columns), self.key))))

    def _number(self) -> tf.Tensor:
        """Mixes the key and the step to a uint32."""
        low = tf.cast(
            tf.bitwise.bitwise_and(tf.cast(self.step, tf.int64), tf.constant(0xFFFFFFFF, tf.int64)), tf.uint32
        )
        return mix(low + tf.constant(self.key, tf.uint32))


def mix(words: tf.Tensor) -> tf.Tensor:
    """MurmurHash3's finalizer (Appleby 2011): a bijection of uint32 in which each bit affects half of the result's."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        words = _shifted_in(words, shift) * tf.constant(factor, tf.uint32)
    return _shifted_in(words, 16)


def scattered(indices: np.ndarray, salt: int) -> tf.Tensor:
    """Returns a constant uint32 for each small index, all of them different."""
    return mix(tf.constant(((indices + 1) * _GOLDEN + salt) % 2**32, tf.uint32))


def uniform(words: tf.Tensor) -> tf.Tensor:
    """Converts uint32 to float32 in [0, 1), by its upper 24 bits, which float32 represents exactly."""
    return tf.cast(tf.bitwise.right_shift(words, tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24


def cos_pi(x: tf.Tensor) -> tf.Tensor:
    """cos(π x) for float32 of any shape, accurate to 2e-7 for every x: removing the period 2 needs no rounding.

    It is made of multiplications and additions, which XLA vectorises on a CPU. For `tf.cos`, XLA calls the C library
    for one number at a time.
    """
    t = 0.5 - tf.abs(x - 2.0 * tf.round(0.5 * x))  # cos(π x) = sin(π t)
    return t * tf.math.polyval(_COEFFICIENTS[::-1], tf.square(t))


def _shifted_in(words: tf.Tensor, shift: int) -> tf.Tensor:
    shifted = tf.bitwise.right_shift(words, tf.constant(shift, tf.uint32))
    return tf.bitwise.bitwise_xor(words, shifted)
