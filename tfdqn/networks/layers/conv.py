"""`Conv`: a convolution for one network or for an ensemble; spectral normalisation."""

from functools import partial
from typing import Literal

import tensorflow as tf

from tfdqn.networks.layers.dense import Initializer

_SQUARINGS = 8  # of WᵀW; equivalent to 2 ** 8 steps of the power method
_TINY = 1e-12


class Conv(tf.keras.layers.Layer):
    """A convolution of images float32[…, H, W, C], a bias and an activation.

    Args:
      leading: (K,) for an ensemble, whose convolutions are computed member by member; () for one network.
      size: the height and width of each filter.
      initializers: "kernel_initializer" and "bias_initializer".
      padding: "SAME": with zeros, so that with a stride of 1 the size stays; "VALID": without.
      is_spectral: whether the kernel is `spectrally_normalized`.
    """

    def __init__(
        self,
        leading: tuple[int, ...],
        filters: int,
        size: int,
        initializers: dict[str, Initializer],
        dtype: str,
        name: str,
        *,
        stride: int = 1,
        padding: Literal["SAME", "VALID"] = "VALID",
        activation: str | None = None,
        is_spectral: bool = False,
    ):
        super().__init__(name=name, dtype=dtype)
        self._leading, self._filters, self._size, self._is_spectral = leading, filters, size, is_spectral
        self._convolved = partial(tf.nn.conv2d, strides=stride, padding=padding)
        self._activation = tf.keras.activations.get(activation)
        self._kernel_initializer = initializers["kernel_initializer"]
        self._bias_initializer = initializers["bias_initializer"]

    def build(self, input_shape: tf.TensorShape) -> None:
        kernel = (*self._leading, self._size, self._size, input_shape[-1], self._filters)
        self.kernel = self.add_weight("kernel", kernel, initializer=self._kernel_initializer)
        self.bias = self.add_weight("bias", (*self._leading, self._filters), initializer=self._bias_initializer)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if not self._leading:
            return self._activation(self._convolved(inputs, self._normalized(self.kernel)) + self.bias)
        (members,) = self._leading
        each = [inputs] * members if inputs.shape.rank == 4 else tf.unstack(inputs, members)
        kernels = map(self._normalized, tf.unstack(self.kernel, members))
        outputs = [self._convolved(images, kernel) for images, kernel in zip(each, kernels, strict=True)]
        return self._activation(tf.stack(outputs) + self.bias[:, tf.newaxis, tf.newaxis, tf.newaxis])

    def _normalized(self, kernel: tf.Tensor) -> tf.Tensor:
        return spectrally_normalized(kernel) if self._is_spectral else kernel


def spectrally_normalized(kernel: tf.Tensor) -> tf.Tensor:
    """W / σ(W), Miyato et al. 2018, equation 8: σ is the largest singular value of W [inputs, filters].

    It is computed in every call by squaring WᵀW repeatedly. The paper makes one step of the power method per training
    step, from a direction that it stores; here nothing is stored, so every copy of a network computes the same. The
    direction is treated as a constant, as in their equation 12.
    """
    matrix = tf.reshape(tf.cast(kernel, tf.float32), [-1, kernel.shape[-1]])
    stretched = tf.matmul(matrix, tf.stop_gradient(_top_direction(matrix)))
    sigma = tf.sqrt(tf.reduce_sum(tf.square(stretched)) + _TINY)
    return kernel / tf.cast(sigma, kernel.dtype)


def _top_direction(matrix: tf.Tensor) -> tf.Tensor:
    """The unit vector float32[C, 1] that a matrix float32[N, C] stretches most."""
    gram = tf.matmul(matrix, matrix, transpose_a=True)
    for _ in range(_SQUARINGS):
        gram /= tf.linalg.trace(gram) + _TINY
        gram = tf.matmul(gram, gram)
    diagonal = tf.linalg.diag_part(gram)
    column = tf.gather(gram, tf.argmax(diagonal), axis=1)  # the column that is nearest to the direction
    return tf.math.l2_normalize(column, epsilon=_TINY)[:, tf.newaxis]
