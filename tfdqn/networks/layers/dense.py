"""Dense layers other than Keras's, layer normalisation, and the initialisers of all layers' weights."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfdqn.networks.noise import Noise

Initializer = Callable[..., tf.Tensor]  # (shape, dtype) → the initial weight
EPSILON = 1e-6  # added to the variance by layer normalisation
_SLOW_WIDTHS = (2, 3)  # of `XlaDense`: [B, n] times [n, inputs], the gradient by the inputs, is slower than for n = 4
_FAST_WIDTH = 4


def uniform(fan_in: int, seeds: np.random.SeedSequence) -> dict[str, Initializer]:
    """Makes the initialisers of a kernel and a bias, uniform in ±1/√fan_in, by the names of Keras's arguments.

    Each is seeded by a child of `seeds`.
    """
    bound = fan_in**-0.5
    kernel_seed, bias_seed = (int(child.generate_state(1)[0] >> 1) for child in seeds.spawn(2))
    return {
        "kernel_initializer": tf.keras.initializers.RandomUniform(-bound, bound, seed=kernel_seed),
        "bias_initializer": tf.keras.initializers.RandomUniform(-bound, bound, seed=bias_seed),
    }


class XlaDense(tf.keras.layers.Dense):
    """Keras's dense layer, activation(x W + b), in operations whose gradients XLA compiles to faster code on a CPU.

    For x [B, inputs], a narrow W is padded with columns of zeros, and b is added as its product with ones, so that the
    gradient by b is a product, too, and no sum over the batch. It is faster only there (docs/performance.md).
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


class NoisyDense(tf.keras.layers.Layer):
    """A dense layer with factorised Gaussian noise: Fortunato et al. 2018, equations 9 to 11.

    y = (W + Σ ⊙ f(ε_in) f(ε_out)ᵀ) x + b + σ ⊙ f(ε_out), with f(ε) = sgn(ε) √|ε|; ε is drawn in every call. Without
    noise, y = W x + b. Σ and σ are initially σ_0 / √inputs.

    Args:
      leading: (K,) for an ensemble, whose members have independent noise; () for one network.
      sigma: σ_0.
      initializers: "kernel_initializer" and "bias_initializer", for W and b.
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
        kernel, bias = (*leading, fan_in, units), (*leading, units)
        scale = tf.keras.initializers.Constant(sigma * fan_in**-0.5)
        self.kernel = self.add_weight("kernel", kernel, initializer=initializers["kernel_initializer"])
        self.bias = self.add_weight("bias", bias, initializer=initializers["bias_initializer"])
        self.kernel_sigma = self.add_weight("kernel_sigma", kernel, initializer=scale)
        self.bias_sigma = self.add_weight("bias_sigma", bias, initializer=scale)

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
    """

    def __init__(self, leading: tuple[int, ...], width: int, dtype: str, name: str):
        super().__init__(name=name, dtype=dtype)
        self._shape = (*leading, width)
        self.scale = self.add_weight("scale", self._shape, initializer="ones")
        self.offset = self.add_weight("offset", self._shape, initializer="zeros")

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
