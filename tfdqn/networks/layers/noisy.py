"""Noisy layers and layer normalisation, of one network or of an ensemble's K members, whose weights lead with K."""

from collections.abc import Sequence

import tensorflow as tf

from tfdqn.networks.layers.initializers import Initializer
from tfdqn.networks.noise import Noise

EPSILON = 1e-6  # added to the variance by layer normalisation


class NoisyDense(tf.keras.layers.Layer):
    """A dense layer with factorised Gaussian noise: Fortunato et al. 2018, equations 9 to 11.

    y = (W + Σ ⊙ f(ε_in) f(ε_out)ᵀ) x + b + σ ⊙ f(ε_out), with f(ε) = sgn(ε) √|ε|, drawn anew at every call; without
    noise, y = W x + b. Σ and σ start at σ_0 / √inputs.

    Args:
      leading: (K,) of an ensemble, each of whose members has noise of its own; () of one network.
      fan_in: the number of inputs.
      units: the number of outputs.
      activation: Keras's name.
      sigma: σ_0.
      initializers: "kernel_initializer" and "bias_initializer" of W and b.
      dtype: what it computes in.
      name: of the layer.
    """

    def __init__(
        self,
        leading: tuple[int, ...],
        fan_in: int,
        units: int,
        activation: str | None,
        sigma: float,
        initializers: dict[str, Initializer],
        dtype: str,
        name: str,
    ):
        super().__init__(name=name, dtype=dtype)
        self._leading, self._fan_in, self._units = leading, fan_in, units
        self._activation = tf.keras.activations.get(activation)
        self._sigma = sigma * fan_in**-0.5
        self._kernel_initializer = initializers["kernel_initializer"]
        self._bias_initializer = initializers["bias_initializer"]

    def build(self, input_shape: tf.TensorShape) -> None:
        kernel, bias = (*self._leading, self._fan_in, self._units), (*self._leading, self._units)
        sigma = tf.keras.initializers.Constant(self._sigma)
        self.kernel = self.add_weight("kernel", kernel, initializer=self._kernel_initializer)
        self.bias = self.add_weight("bias", bias, initializer=self._bias_initializer)
        self.kernel_sigma = self.add_weight("kernel_sigma", kernel, initializer=sigma)
        self.bias_sigma = self.add_weight("bias_sigma", bias, initializer=sigma)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        kernel, bias = self.kernel, self.bias
        if noise is not None:
            own = noise.split(self.name)
            into = self._scaled(own.split("inputs").normal(*self._leading, self._fan_in))
            out = self._scaled(own.split("outputs").normal(*self._leading, self._units))
            kernel = kernel + self.kernel_sigma * into[..., :, tf.newaxis] * out[..., tf.newaxis, :]
            bias = bias + self.bias_sigma * out
        outputs = tf.matmul(inputs, kernel)
        return self._activation(outputs + (bias[:, tf.newaxis] if self._leading else bias))

    def _scaled(self, normal: tf.Tensor) -> tf.Tensor:
        """f, as √ε⁺ − √ε⁻.

        XLA computes a product with the sign again for every weight, and the draw of ε with it; a root, which it takes
        to be expensive, it computes once for each ε.
        """
        return tf.cast(tf.sqrt(tf.nn.relu(normal)) - tf.sqrt(tf.nn.relu(-normal)), self.compute_dtype)


class LayerNorm(tf.keras.layers.Layer):
    """Ba et al. 2016: mean 0 and variance 1 over the last axis, then a learned scale and offset for each feature.

    Args:
      leading: (K,) of an ensemble; () of one network.
      width: the number of features.
      dtype: what it computes in; mean and variance are computed in float32.
      name: of the layer.
    """

    def __init__(self, leading: tuple[int, ...], width: int, dtype: str, name: str):
        super().__init__(name=name, dtype=dtype)
        self._shape = (*leading, width)

    def build(self, input_shape: tf.TensorShape) -> None:
        self.scale = self.add_weight("scale", self._shape, initializer="ones")
        self.offset = self.add_weight("offset", self._shape, initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        exact = tf.cast(inputs, tf.float32)  # bfloat16's three digits are too few for a mean and differences from it
        mean, variance = tf.nn.moments(exact, axes=[-1], keepdims=True)
        normal = tf.cast((exact - mean) * tf.math.rsqrt(variance + EPSILON), inputs.dtype)
        return normal * self._fitted(self.scale, inputs) + self._fitted(self.offset, inputs)

    def _fitted(self, weight: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """[K, F] as [K, 1, …, F], which a batch's axes fit in between; [F] as it is."""
        if len(self._shape) == 1:
            return weight
        between: Sequence[int] = [1] * (inputs.shape.rank - 2)
        return tf.reshape(weight, [self._shape[0], *between, self._shape[1]])
