"""`XlaDense`: Keras's dense layer in operations whose gradients XLA compiles to faster code on a CPU."""

import tensorflow as tf

_SLOW_WIDTHS = (2, 3)  # where [B, n] times [n, inputs], the gradient by the inputs, is slower than for n = 4
_FAST_WIDTH = 4


class XlaDense(tf.keras.layers.Dense):
    """Computes activation(x W + b), as Keras does.

    For x [B, inputs], a narrow W is padded with columns of zeros, and b is added as its product with ones, so that the
    gradient by b is a product, too, and no sum over the batch. It is faster only in XLA on a CPU (docs/performance.md).
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if inputs.shape.rank != 2:
            return super().call(inputs)
        kernel, bias = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.bias)
        padding = _FAST_WIDTH - self.units if self.units in _SLOW_WIDTHS else 0
        padded = tf.pad(kernel, [[0, 0], [0, padding]]) if padding else kernel
        products = tf.matmul(tf.cast(inputs, kernel.dtype), padded)[:, : self.units]
        ones = tf.ones([tf.shape(inputs)[0], 1], kernel.dtype)
        return self.activation(products + tf.matmul(ones, bias[tf.newaxis]))
