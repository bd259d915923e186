"""`LayerFactory`: named layers with seeded initial weights; `RecordingFactory`: what weights they have."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import tensorflow as tf

from tfdqn.networks.layers.initializers import Initializer, uniform
from tfdqn.networks.layers.memory import MEMORIES, Memory, biases
from tfdqn.networks.layers.noisy import LayerNorm, NoisyDense
from tfdqn.networks.layers.padded_conv import PaddedConv
from tfdqn.networks.layers.statistics import RunningStatistics
from tfdqn.networks.noise import Noise

Layer = Callable[[tf.Tensor], tf.Tensor]
NoisyLayer = Callable[[tf.Tensor, Noise | None], tf.Tensor]


class LayerFactory:
    """Makes the layers that a torso asks for, each whole and on one device.

    Weights and biases start uniform in ±1/√fan_in, as in the code of Mnih et al. 2015 (Torch's default).

    Args:
      seed: of the initial weights.
      precision: Keras's name of what the layers compute in ("mixed_bfloat16"); the last one is always float32.
    """

    leading: tuple[int, ...] = ()  # of every weight: (K,) of an ensemble

    def __init__(self, seed: int, precision: str = "float32"):
        self._seeds = np.random.SeedSequence(seed)
        self._precision = precision
        self.layers: list[tf.keras.layers.Layer] = []
        self.statistics: dict[str, RunningStatistics] = {}  # by the observation's array that they are of

    def running_statistics(self, key: str, size: int) -> Layer:
        """Normalises the numbers of one array of an observation: `RunningStatistics`."""
        self.statistics[key] = self._make_statistics(f"{key}_statistics", size)
        return self._keep(self.statistics[key])

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

    def noisy(
        self, name: str, units: int, activation: str | None, *, fan_in: int, sigma: float, is_last: bool
    ) -> NoisyLayer:
        """A dense layer, or the last one, with noise whose scale is learned: `NoisyDense`."""
        precision = "float32" if is_last else self._precision
        initializers = self._initializers(fan_in)
        return self._keep(NoisyDense(self.leading, fan_in, units, activation, sigma, initializers, precision, name))

    def layer_norm(self, name: str, width: int) -> Layer:
        return self._keep(LayerNorm(self.leading, width, self._precision, name))

    def memory(self, name: str, kind: str, units: int, *, fan_in: int) -> Memory | None:
        """A recurrent layer of `MEMORIES`."""
        of_inputs, of_state = self._initializers(fan_in), self._initializers(units)
        initializers = {
            "kernel": of_inputs["kernel_initializer"],
            "recurrent_kernel": of_state["kernel_initializer"],
            **biases(MEMORIES[kind], units),
        }
        memory = MEMORIES[kind](fan_in, units, initializers, name)
        self._keep(memory)
        return memory

    def conv(
        self, name: str, filters: int, size: int, stride: int, activation: str | None = "relu", *, channels_in: int
    ) -> Layer:
        options = self._initializers(channels_in * size * size)
        return self._keep(
            tf.keras.layers.Conv2D(
                filters, size, stride, activation=activation, name=name, dtype=self._precision, **options
            )
        )

    def padded_conv(self, name: str, filters: int, size: int, *, channels_in: int, is_spectral: bool = False) -> Layer:
        """A convolution without activation that keeps an image's size: `PaddedConv`."""
        initializers = self._initializers(channels_in * size * size)
        return self._keep(PaddedConv(self.leading, filters, size, is_spectral, initializers, self._precision, name))

    def flatten(self, height: int, width: int, channels: int) -> Layer:
        """Images float32[B, H, W, C] → float32[B, H · W · C]."""
        return lambda images: tf.reshape(images, [-1, height * width * channels])

    def branch(self) -> AbstractContextManager:
        """What is made in its block takes the same input as what is made after it."""
        return nullcontext()

    def named_weights(self) -> dict[str, tf.Variable]:
        """The weights by name ("hidden_0/kernel"), from input to output."""
        return {
            f"{layer.name}/{weight.name.rpartition('/')[2].partition(':')[0]}": weight
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

    def _make_statistics(self, name: str, size: int) -> RunningStatistics:
        return RunningStatistics(self.leading, size, name)

    def _initializers(self, fan_in: int) -> dict[str, Initializer]:
        return uniform(fan_in, self._seeds)

    def _keep(self, layer: tf.keras.layers.Layer) -> Callable[..., tf.Tensor]:
        self.layers.append(layer)
        return layer


class RecordingFactory(LayerFactory):
    """Takes down each weight's name and shape as `LayerFactory` would make it; no device is touched.

    Args:
      leading: what an ensemble's weights lead with, (K,); () of one network.
    """

    def __init__(self, leading: tuple[int, ...] = ()):
        super().__init__(seed=0)
        self.leading = leading
        self.specs: dict[str, tf.TensorSpec] = {}  # by the names of `named_weights`

    def running_statistics(self, key: str, size: int) -> Layer:
        return self._record(f"{key}_statistics", mean=(size,), variance=(size,), count=())

    def dense(self, name: str, units: int, activation: str | None = None, *, fan_in: int) -> Layer:
        return self._record(name, kernel=(fan_in, units), bias=(units,))

    def head(self, name: str, units: int, *, fan_in: int) -> Layer:
        return self.dense(name, units, fan_in=fan_in)

    def linear(self, name: str, units: int, *, fan_in: int) -> Layer:
        return self._record(name, kernel=(fan_in, units))

    def noisy(
        self, name: str, units: int, activation: str | None, *, fan_in: int, sigma: float, is_last: bool
    ) -> NoisyLayer:
        kernel, bias = (fan_in, units), (units,)
        layer = self._record(name, kernel=kernel, bias=bias, kernel_sigma=kernel, bias_sigma=bias)
        return lambda inputs, noise: layer(inputs)

    def memory(self, name: str, kind: str, units: int, *, fan_in: int) -> None:
        self._record(name, **MEMORIES[kind].shapes(fan_in, units))

    def layer_norm(self, name: str, width: int) -> Layer:
        return self._record(name, scale=(width,), offset=(width,))

    def conv(
        self, name: str, filters: int, size: int, stride: int, activation: str | None = "relu", *, channels_in: int
    ) -> Layer:
        return self._record(name, kernel=(size, size, channels_in, filters), bias=(filters,))

    def padded_conv(self, name: str, filters: int, size: int, *, channels_in: int, is_spectral: bool = False) -> Layer:
        return self.conv(name, filters, size, 1, channels_in=channels_in)

    def _record(self, name: str, **shapes: tuple[int, ...]) -> Layer:
        for weight, shape in shapes.items():
            self.specs[f"{name}/{weight}"] = tf.TensorSpec((*self.leading, *shape))
        return lambda inputs: inputs
