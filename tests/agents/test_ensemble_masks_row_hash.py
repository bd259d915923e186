"""Hashes of rows: the same in NumPy and TensorFlow and in whatever batch, and as good as random."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.agents import ensemble_masks
from tfdqn.networks import noise


def finalizer(word: int) -> int:
    """MurmurHash3's fmix32, in Python's integers."""
    word ^= word >> 16
    word = word * 0x85EBCA6B % 2**32
    word ^= word >> 13
    word = word * 0xC2B2AE35 % 2**32
    return word ^ word >> 16


def slow_hash(words: np.ndarray, salt: int) -> int:
    """Of one row, uint32[N]."""
    places = [finalizer(((i + 1) * 0x9E3779B9 + salt) % 2**32) for i in range(len(words))]
    return finalizer(sum(finalizer(int(w) ^ p) for w, p in zip(words, places, strict=True)) % 2**32)


RNG = np.random.default_rng(1)
BYTES = RNG.integers(256, size=(64, 3, 5)).astype(np.uint8)
ARRAYS = {
    "float32": (RNG.normal(size=(64, 2, 3)).astype(np.float32), lambda x: x.view(np.uint32)),
    "float64": (RNG.normal(size=(64, 3)), lambda x: x.astype(np.float32).view(np.uint32)),
    "int64": (RNG.integers(-5, 5, size=64), lambda x: x.astype(np.uint32)),
    "int32": (RNG.integers(-5, 5, size=(64, 2)).astype(np.int32), lambda x: x.view(np.uint32)),
    "uint8": (BYTES, lambda x: np.pad(x.reshape(64, 15), [(0, 0), (0, 1)]).view(np.uint32)),
    "bool": (RNG.random((64, 4)) < 0.5, lambda x: x.astype(np.uint8).view(np.uint32)),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize(("array", "as_words"), ARRAYS.values(), ids=ARRAYS.keys())
def test_a_rows_hash_is_that_of_plain_integers(array, as_words, compiled):
    call = tf.function(lambda x: ensemble_masks.row_hash([x], 7), autograph=False, jit_compile=compiled)
    expected = [slow_hash(words, 7) for words in as_words(array).reshape(64, -1)]
    np.testing.assert_array_equal(call(tf.constant(array)), np.array(expected, np.uint32))


def test_several_arrays_are_one_row():
    first, second = tf.constant([[1.0, 2.0]]), tf.constant([[3.0]])
    together = ensemble_masks.row_hash([first, second], 0)
    np.testing.assert_array_equal(together, ensemble_masks.row_hash([tf.constant([[1.0, 2.0, 3.0]])], 0))
    assert together != ensemble_masks.row_hash([second, first], 0)  # where a value stands matters


def test_minus_zero_is_zero_and_the_salt_chooses_the_function():
    zero, minus = tf.constant([[0.0, 1.0]]), tf.constant([[-0.0, 1.0]])
    np.testing.assert_array_equal(ensemble_masks.row_hash([zero], 1), ensemble_masks.row_hash([minus], 1))
    assert ensemble_masks.row_hash([zero], 1) != ensemble_masks.row_hash([zero], 2)


def test_a_row_hashes_alike_in_every_batch():
    rows = tf.constant(RNG.normal(size=(12, 3)), tf.float32)
    whole = ensemble_masks.row_hash([rows], 3)
    parts = [ensemble_masks.row_hash([part], 3) for part in tf.split(rows, [5, 1, 6])]
    np.testing.assert_array_equal(whole, tf.concat(parts, axis=0))


def test_neighbours_hash_like_random_numbers():
    """States on a grid, which differ in a few bits: uniform, and each bit as often one as zero."""
    grid = np.stack(np.meshgrid(*[np.arange(32)] * 3), axis=-1).reshape(-1, 3).astype(np.float32)
    hashes = ensemble_masks.row_hash([tf.constant(grid)], 5).numpy()
    assert len(np.unique(hashes)) >= len(grid) - 2  # two of 32,768 coincide with a chance of one in eight
    share_of_ones = (hashes[:, np.newaxis] >> np.arange(32) & 1).mean(axis=0)
    np.testing.assert_allclose(share_of_ones, 0.5, atol=5 * 0.5 / len(grid) ** 0.5)
    uniform = np.sort(noise.uniform(tf.constant(hashes)).numpy())
    assert uniform[0] >= 0 and uniform[-1] < 1
    assert np.abs(uniform - np.linspace(0, 1, len(grid))).max() < 1.95 / len(grid) ** 0.5  # Kolmogorov, 0.1 %
