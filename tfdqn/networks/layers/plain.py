"""`LayerFactory`: named layers with seeded initial weights; `RecordingFactory`: what weights they have."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

Layer = Callable[[tf.Tensor], tf.Tensor]


class LayerFactory:
    """Makes the layers that a torso asks for, each whole and on one device.

    Weights and biases start uniform in ±1/√fan_in, as in the code of Mnih et al. 2015 (Torch's default).

    Args:
      seed: of the initial weights.
      precision: Keras's name of what the layers compute in ("mixed_bfloat16"); the last one is always float32.
    """

    def __init__(self, seed: int, precision: str = "float32"):
        self._seeds = np.random.SeedSequence(seed)
        self._precision = precision
        self.layers: list[tf.keras.layers.Layer] = []

    def dense(self, name: str, units: int, activation: str | None = None, *, fan_in: int) -> Layer:
        options = self._initializers(fan_in)
        return self._keep(tf.keras.layers.Dense(units, activation, name=name, dtype=self._precision, **options))

    def head(self, name: str, units: int, *, fan_in: int) -> Layer:
        """The last layer, which gives Q: rounded values would be wrong targets."""
        options = self._initializers(fan_in)
        return self._keep(tf.keras.layers.Dense(units, name=name, dtype="float32", **options))

    def linear(self, name: str, units: int, *, fan_in: int) -> Layer:
        """A dense layer without bias, all zero at first: θ of the linear network."""
        return self._keep(tf.keras.layers.Dense(units, use_bias=False, kernel_initializer="zeros", name=name))

    def conv(self, name: str, filters: int, size: int, stride: int, *, channels_in: int) -> Layer:
        fan_in = channels_in * size * size
        return self._keep(
            tf.keras.layers.Conv2D(
                filters, size, stride, activation="relu", name=name, dtype=self._precision, **self._initializers(fan_in)
            )
        )

    def flatten(self, height: int, width: int, channels: int) -> Layer:
        """Images float32[B, H, W, C] → float32[B, H · W · C]."""
        return lambda images: tf.reshape(images, [-1, height * width * channels])

    def named_weights(self) -> dict[str, tf.Variable]:
        """The weights by name ("hidden_0/kernel"), from input to output."""
        return {
            f"{layer.name}/{'kernel' if weight is layer.kernel else 'bias'}": weight
            for layer in self.layers
            for weight in layer.weights
        }

    def join(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays under the names of `named_weights`, with any prefix → the same under canonical names, whole."""
        return dict(arrays)

    def piece(self, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        """What belongs under one of those names, with its prefix, of whole arrays under canonical names.

        Raises what `arrays` raises for a name that it lacks, ValueError for an array of another shape.
        """
        return arrays[name]

    def _initializers(self, fan_in: int) -> dict:
        bound = fan_in**-0.5
        uniform = tf.keras.initializers.RandomUniform
        kernel_seed, bias_seed = (int(child.generate_state(1)[0] >> 1) for child in self._seeds.spawn(2))
        return {
            "kernel_initializer": uniform(-bound, bound, seed=kernel_seed),
            "bias_initializer": uniform(-bound, bound, seed=bias_seed),
        }

    def _keep(self, layer: tf.keras.layers.Layer) -> Layer:
        self.layers.append(layer)
        return layer


class RecordingFactory(LayerFactory):
    """Takes down each weight's name and shape as `LayerFactory` would make it; no device is touched.

    Args:
      leading: what an ensemble's weights lead with, (K,); () of one network.
    """

    def __init__(self, leading: tuple[int, ...] = ()):
        super().__init__(seed=0)
        self._leading = leading
        self.specs: dict[str, tf.TensorSpec] = {}  # by the names of `named_weights`

    def dense(self, name: str, units: int, activation: str | None = None, *, fan_in: int) -> Layer:
        return self._record(name, (fan_in, units))

    def head(self, name: str, units: int, *, fan_in: int) -> Layer:
        return self._record(name, (fan_in, units))

    def linear(self, name: str, units: int, *, fan_in: int) -> Layer:
        return self._record(name, (fan_in, units), has_bias=False)

    def conv(self, name: str, filters: int, size: int, stride: int, *, channels_in: int) -> Layer:
        return self._record(name, (size, size, channels_in, filters))

    def _record(self, name: str, kernel_shape: tuple[int, ...], has_bias: bool = True) -> Layer:
        self.specs[f"{name}/kernel"] = tf.TensorSpec((*self._leading, *kernel_shape))
        if has_bias:
            self.specs[f"{name}/bias"] = tf.TensorSpec((*self._leading, kernel_shape[-1]))
        return lambda inputs: inputs
