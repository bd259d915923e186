"""Hashes of a batch's rows: 32 bits that depend on nothing but the values, whatever device or batch they are in.

Pure functions of tensors, all in uint32, whose products and sums wrap around.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

_GOLDEN = 0x9E3779B9  # 2³² / the golden ratio: multiples of it spread evenly


def row_hash(arrays: Sequence[tf.Tensor], salt: int) -> tf.Tensor:
    """uint32[B] of arrays [B, …], of any numeric dtype: one hash for each row of all of them together.

    Equal rows have equal hashes (−0 is 0), others differ but for a chance of 2⁻³². `salt` chooses the function.
    """
    words = tf.concat([_words(array) for array in arrays], axis=1)
    places = scattered(np.arange(words.shape[1]), salt)
    return mix(tf.reduce_sum(mix(tf.bitwise.bitwise_xor(words, places)), axis=1))


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


def _words(array: tf.Tensor) -> tf.Tensor:
    """[B, …] → uint32[B, N]: floats as float32's bits, integers as 32-bit ones, bytes by fours."""
    size = int(np.prod(array.shape[1:], dtype=np.int64))
    rows = tf.reshape(array, [-1, size])
    if array.dtype.is_floating:
        numbers = tf.cast(rows, tf.float32)
        return tf.bitcast(tf.where(numbers == 0, tf.zeros_like(numbers), numbers), tf.uint32)
    if array.dtype in (tf.uint8, tf.int8, tf.bool):
        octets = tf.pad(tf.cast(rows, tf.uint8), [[0, 0], [0, -size % 4]])
        return tf.bitcast(tf.reshape(octets, [-1, -(-size // 4), 4]), tf.uint32)
    return tf.cast(rows, tf.uint32)
