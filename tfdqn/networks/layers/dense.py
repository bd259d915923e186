"""`Dense`: Keras's dense layer, with a gradient that XLA compiles to faster code on a CPU."""

from collections.abc import Callable

import tensorflow as tf

_SLOW_WIDTHS = (2, 3)  # XLA's product of [B, n] with [n, inputs] takes 4 to 8 times as long for these n as for 4
_FAST_WIDTH = 4


class Dense(tf.keras.layers.Dense):
    """Computes activation(x W + b) from x [B, inputs], as Keras does; only the way to the gradient differs.

    With XLA on a CPU, an update of an MLP 120-84 with 2 actions takes 0.86 times as long (docs/performance.md).
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel, bias = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.bias)
        return self.activation(affine(tf.cast(inputs, kernel.dtype), kernel, bias))


@tf.custom_gradient
def affine(
    inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]]:
    """Computes x W + b, [B, units], from x [B, inputs], W [inputs, units] and b [units], all of one dtype.

    The gradient by b is a product with ones, which XLA computes faster than a sum over the batch. For the gradient by
    x, narrow factors are padded with zeros, which adds nothing to any sum.
    """

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        by_inputs = tf.matmul(_padded(upstream), _padded(kernel), transpose_b=True)
        by_kernel = tf.matmul(inputs, upstream, transpose_a=True)
        ones = tf.ones([1, tf.shape(upstream)[0]], upstream.dtype)
        return by_inputs, by_kernel, tf.matmul(ones, upstream)[0]

    return tf.nn.bias_add(tf.matmul(inputs, kernel), bias), gradient


def _padded(matrix: tf.Tensor) -> tf.Tensor:
    """Adds columns of zeros to a matrix whose width is slow."""
    width = matrix.shape[1]
    return tf.pad(matrix, [[0, 0], [0, _FAST_WIDTH - width]]) if width in _SLOW_WIDTHS else matrix
