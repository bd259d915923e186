"""Noisy layers and layer normalisation, for one network or for an ensemble, whose weights have a leading axis K."""

from collections.abc import Sequence

import tensorflow as tf

from tfdqn.networks.layers.initializers import Initializer
from tfdqn.networks.noise import Noise

EPSILON = 1e-6  # added to the variance by layer normalisation


class NoisyDense(tf.keras.layers.Layer):
    """A dense layer with factorised Gaussian noise: Fortunato et al. 2018, equations 9 to 11.

    y = (W + Σ ⊙ f(ε_in) f(ε_out)ᵀ) x + b + σ ⊙ f(ε_out), with f(ε) = sgn(ε) √|ε|; ε is drawn in every call. Without
    noise, y = W x + b. Σ and σ are initially σ_0 / √inputs.

    Args:
      leading: (K,) for an ensemble, whose members have independent noise; () for one network.
      fan_in: the number of inputs.
      units: the number of outputs.
      activation: Keras's name of the activation.
      sigma: σ_0.
      initializers: "kernel_initializer" and "bias_initializer", for W and b.
      dtype: Keras's name of the precision in which it computes.
      name: the layer's name.
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
        """Computes f as √ε⁺ − √ε⁻.

        XLA would recompute a product with the sign, and with it the draw of ε, for every weight. A root, which it
        considers expensive, it computes once for each ε.
        """
        return tf.cast(tf.sqrt(tf.nn.relu(normal)) - tf.sqrt(tf.nn.relu(-normal)), self.compute_dtype)


class LayerNorm(tf.keras.layers.Layer):
    """Layer normalisation: mean 0, variance 1, then a learned scale and offset for each feature (Ba et al. 2016).

    Args:
      leading: (K,) for an ensemble; () for one network.
      width: the number of features, the last axis.
      dtype: Keras's name of the precision in which it computes; mean and variance are always computed in float32.
      name: the layer's name.
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
        """Reshapes a weight [K, F] to [K, 1, …, F], to be broadcast to inputs [K, B, …, F]; leaves [F] as it is."""
        if len(self._shape) == 1:
            return weight
        between: Sequence[int] = [1] * (inputs.shape.rank - 2)
        return tf.reshape(weight, [self._shape[0], *between, self._shape[1]])
