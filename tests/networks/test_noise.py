"""Seeded noise: numbers as random as they should be, the same however a batch is divided or compiled."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.networks.noise import Noise, cos_pi

ROWS, COLUMNS = 4096, 16
CRITICAL = 5.5  # standard deviations: of a few thousand comparisons none goes beyond


def noise(step: int = 3, key: int = 7, first: int = 0) -> Noise:
    return Noise(key, tf.constant(step, tf.int64), first)


def draws() -> dict[str, np.ndarray]:
    """float32[ROWS, COLUMNS] of keys and steps that differ little."""
    return {
        f"key {key}, step {step}": noise(step, key).uniform(ROWS, COLUMNS).numpy()
        for key in (7, 8, 2**30)
        for step in (0, 1, 2, 2**20, 2**32)
        if step < 2**32 or key == 7
    }


def test_uniform_numbers_are_spread_evenly() -> None:
    for name, numbers in draws().items():
        assert numbers.min() >= 0
        assert numbers.max() < 1
        for part in (numbers, *numbers.T, *numbers.reshape(16, -1)):
            counts = np.histogram(part, 32, (0, 1))[0]
            expected = part.size / 32
            chi_square = ((counts - expected) ** 2 / expected).sum()
            assert abs(chi_square - 31) < CRITICAL * 62**0.5, name  # of 31 degrees of freedom


def test_rows_columns_steps_and_keys_are_not_correlated() -> None:
    each = draws()
    each.pop("key 7, step 4294967296")  # whose lower 32 bits are those of step 0
    centred = {name: numbers - numbers.mean() for name, numbers in each.items()}

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return float((a * b).mean() / (a.std() * b.std()) * a.size**0.5)

    for name, numbers in centred.items():
        assert abs(correlation(numbers[:-1], numbers[1:])) < CRITICAL, name
        columns = np.corrcoef(numbers.T) - np.eye(COLUMNS)
        assert np.abs(columns).max() < CRITICAL / ROWS**0.5, name
        for other, others in centred.items():
            if other != name:
                assert abs(correlation(numbers, others)) < CRITICAL, (name, other)


def test_numbers_seldom_repeat() -> None:
    numbers = np.concatenate([each.ravel() for each in list(draws().values())[:4]])
    # Of n numbers of 2²⁴ possible ones, n² / 2²⁵ pairs are alike.
    pairs = numbers.size - np.unique(numbers).size
    expected = numbers.size**2 / 2**25
    assert abs(pairs - expected) < 0.05 * expected


def test_a_batch_that_is_divided_draws_what_the_whole_one_does() -> None:
    whole = noise().uniform(12, COLUMNS)
    parts = [noise(first=first).uniform(4, COLUMNS) for first in (0, 4, 8)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(noise(first=5).normal(3, 4), noise().normal(3, 4))


def test_streams_are_independent_and_seeded() -> None:
    streams = [noise(), noise(4), noise(key=8), noise().split("a"), noise().split("b"), noise().split("a", 1)]
    for method in (lambda each: each.normal(5, 3), lambda each: each.uniform(5, 3)):
        numbers = np.stack([method(each) for each in streams])
        np.testing.assert_array_equal(numbers, np.stack([method(each) for each in streams]))
        assert len(np.unique(numbers)) == numbers.size


def test_normal_numbers_have_their_mean_variance_and_tails() -> None:
    numbers = noise().normal(400, 500).numpy()
    root = numbers.size**0.5
    assert abs(numbers.mean()) < CRITICAL / root
    assert abs((numbers**2).mean() - 1) < CRITICAL * 2**0.5 / root
    assert abs((numbers**4).mean() - 3) < CRITICAL * 96**0.5 / root
    share = (np.abs(numbers) > 1.959964).mean()
    assert abs(share - 0.05) < CRITICAL * (0.05 * 0.95) ** 0.5 / root
    assert np.abs(numbers).max() > 4
    rows = np.corrcoef(numbers) - np.eye(len(numbers))
    assert np.abs(rows).max() < CRITICAL / 500**0.5


@pytest.mark.parametrize("step", [0, 5, 2**40 + 3])
def test_compiled_numbers_are_the_same(step: int) -> None:
    def numbers(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        each = Noise(7, step, 2)
        return each.uniform(6, 5), each.normal(6, 5)

    plain, compiled = (tf.function(numbers, autograph=False, jit_compile=jit) for jit in (False, True))
    (uniform, normal), (uniform_xla, normal_xla) = (call(tf.constant(step, tf.int64)) for call in (plain, compiled))
    np.testing.assert_array_equal(uniform, uniform_xla)
    np.testing.assert_allclose(normal, normal_xla, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_cosine_is_right_for_small_and_large_numbers(compiled: bool) -> None:
    rng = np.random.default_rng(0)
    edges = [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 63.0, 64.5, -0.5, -3.0, 1e-7]
    x = np.float32([*edges, *rng.uniform(-2, 2, 10_000), *rng.uniform(-300, 300, 10_000)])
    found = tf.function(cos_pi, jit_compile=compiled)(tf.constant(x))
    np.testing.assert_allclose(found, np.cos(np.pi * x.astype(float)), rtol=0, atol=2e-7)
