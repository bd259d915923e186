"""Layer normalisation of numbers in bfloat16: its statistics are those of float32."""

import numpy as np
import tensorflow as tf

from tfdqn.networks.layers.dense import LayerNorm


def test_statistics_in_bfloat16_are_float32s() -> None:
    """Features about 30, where bfloat16's numbers are 1/8 apart: a mean rounded to that would be off by up to 1/16."""
    inputs = tf.cast(30.0 + np.random.default_rng(0).normal(size=(50, 32)), tf.bfloat16)
    exact, mixed = (LayerNorm((), 32, precision, "norm") for precision in ("float32", "mixed_bfloat16"))
    expected, outputs = exact(tf.cast(inputs, tf.float32)), mixed(inputs)
    assert outputs.dtype == tf.bfloat16 and mixed.scale.dtype == tf.float32
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, rtol=2**-8, atol=1e-6)
