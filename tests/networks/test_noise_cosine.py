"""The cosine against NumPy's in float64, compiled and not."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.networks.noise import cos_pi


@pytest.mark.parametrize("compiled", [False, True])
def test_it_is_right_for_small_and_large_numbers(compiled: bool) -> None:
    rng = np.random.default_rng(0)
    edges = [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 63.0, 64.5, -0.5, -3.0, 1e-7]
    x = np.float32([*edges, *rng.uniform(-2, 2, 10_000), *rng.uniform(-300, 300, 10_000)])
    found = tf.function(cos_pi, jit_compile=compiled)(tf.constant(x))
    np.testing.assert_allclose(found, np.cos(np.pi * x.astype(float)), rtol=0, atol=2e-7)
