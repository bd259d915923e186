"""Spectral normalisation: the largest singular value and its gradient, as NumPy has them."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.networks.layers.conv import spectrally_normalized


def singular(kernel: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    left, values, right = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), full_matrices=False)
    return left[:, 0], values[0], right[0]


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("shape", [(3, 3, 16, 16), (3, 3, 2, 32), (1, 1, 5, 1)])
def test_a_kernel_is_divided_by_its_largest_singular_value(shape: tuple[int, ...], compiled: bool) -> None:
    for seed in range(5):
        kernel = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        normalized = tf.function(spectrally_normalized, jit_compile=compiled)(kernel)
        np.testing.assert_allclose(normalized, kernel / singular(kernel)[1], rtol=2e-3)


@pytest.mark.parametrize("axis", range(4))
def test_the_largest_singular_value_may_be_of_one_channel_alone(axis: int) -> None:
    values = np.array([1.0, 2.0, 0.5, 1.5])
    values[axis] = 3.0
    kernel = np.diag(values).reshape(1, 1, 4, 4).astype(np.float32)
    np.testing.assert_allclose(spectrally_normalized(kernel), kernel / 3, rtol=1e-5)


def test_its_gradient_is_that_of_the_paper() -> None:
    # Of g · W / σ with σ = uᵀ W v: (g − (g · W / σ) u vᵀ) / σ, equation 12 of Miyato et al. 2018.
    rng = np.random.default_rng(3)
    direction = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    stretched = np.linalg.qr(rng.normal(size=(36, 8)))[0] * [5, 2, 1, 1, 0.5, 0.2, 0.1, 0]
    kernel = (stretched @ direction.T).reshape(3, 3, 4, 8).astype(np.float32)
    u, sigma, v = singular(kernel)
    g = rng.normal(size=kernel.shape).astype(np.float32)
    variable = tf.Variable(kernel)
    with tf.GradientTape() as tape:
        product = tf.reduce_sum(g * spectrally_normalized(variable))
    outer = np.outer(u, v).reshape(kernel.shape)
    expected = (g - np.sum(g * kernel) / sigma * outer) / sigma
    np.testing.assert_allclose(tape.gradient(product, variable), expected, atol=1e-5)


def test_a_kernel_of_zeros_has_a_finite_gradient() -> None:
    kernel = tf.Variable(tf.zeros([3, 3, 2, 4]))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(spectrally_normalized(kernel))
    assert np.isfinite(tape.gradient(total, kernel)).all()
    assert total == 0
