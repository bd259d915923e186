"""`XlaDense` is Keras's dense layer, outputs and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.networks.layers.dense import XlaDense

B, INPUTS = 5, 7


def _of(layer: tf.keras.layers.Layer, inputs: tf.Tensor, upstream: tf.Tensor, is_compiled: bool) -> list[np.ndarray]:
    """The outputs of a layer, and the gradients of their product with `upstream` by inputs, kernel and bias."""

    @tf.function(jit_compile=is_compiled, input_signature=[tf.TensorSpec([None, *inputs.shape[1:]], tf.float32)])
    def outputs_and_gradients(inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            total = tf.reduce_sum(tf.cast(outputs, tf.float32) * upstream)
        return [outputs, *tape.gradient(total, [inputs, *layer.trainable_variables])]

    return [tf.cast(each, tf.float32).numpy() for each in outputs_and_gradients(inputs)]


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(("units", "leading"), [(1, [B]), (2, [B]), (3, [B]), (4, [B]), (9, [B]), (2, [B, 6])], ids=str)
def test_it_computes_and_differentiates_as_keras(
    units: int, leading: list[int], activation: str | None, is_compiled: bool
) -> None:
    rng = np.random.default_rng(units)
    inputs, upstream = (tf.constant(rng.normal(size=(*leading, width)), tf.float32) for width in (INPUTS, units))
    weights = [rng.normal(size=(INPUTS, units)), rng.normal(size=units)]
    layer, other = XlaDense(units, activation), tf.keras.layers.Dense(units, activation)
    for each in (layer, other):
        each.build([None, INPUTS])
        each.set_weights(weights)
    ours = _of(layer, inputs, upstream, is_compiled)
    theirs = _of(other, inputs, upstream, is_compiled)
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)


def test_it_computes_in_the_precision_of_its_dtype() -> None:
    layer = XlaDense(2, dtype="mixed_bfloat16")
    layer.build([None, INPUTS])
    assert layer(tf.ones([B, INPUTS])).dtype == tf.bfloat16
    _, by_inputs, by_kernel, by_bias = _of(layer, tf.ones([B, INPUTS]), tf.ones([B, 2]), is_compiled=False)
    np.testing.assert_allclose(by_inputs, np.broadcast_to(layer.kernel.numpy().sum(axis=1), (B, INPUTS)), atol=0.02)
    np.testing.assert_array_equal(by_kernel, np.full((INPUTS, 2), B))
    np.testing.assert_array_equal(by_bias, np.full(2, B))
    assert layer.kernel.dtype == tf.float32
