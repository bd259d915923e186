"""`LayerFactory`: makes named layers with seeded weights; `RecordingFactory`: records their weights' shapes."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import tensorflow as tf

from tfdqn.errors import OwnCodeError
from tfdqn.networks.layers.conv import Conv
from tfdqn.networks.layers.dense import Initializer, LayerNorm, NoisyDense, XlaDense, uniform
from tfdqn.networks.layers.memory import MEMORIES, Memory, biases
from tfdqn.networks.layers.statistics import RunningStatistics
from tfdqn.networks.noise import Noise

Layer = Callable[[tf.Tensor], tf.Tensor]
NoisyLayer = Callable[[tf.Tensor, Noise | None], tf.Tensor]


class LayerFactory:
    """Makes the layers of a network, none of them split over devices.

    Initial weights and biases are uniform in ±1/√fan_in, as in the code of Mnih et al. 2015 (Torch's default).

    Args:
      seed: the seed of the initial weights.
      precision: Keras's name of the precision in which layers compute ("mixed_bfloat16"); the last always uses float32.
      dense_precision: the same for all layers but convolutions; None: as `precision`.
      in_xla: whether XLA will compile the layers' gradients for a CPU, for which dense layers are then made.
    """

    leading: tuple[int, ...] = ()  # the leading axes of every weight: (K,) for an ensemble

    def __init__(self, seed: int, precision: str = "float32", in_xla: bool = False, dense_precision: str | None = None):
        self._seeds = np.random.SeedSequence(seed)
        self._conv_precision, self._precision = precision, dense_precision or precision
        self._dense = XlaDense if in_xla else tf.keras.layers.Dense
        self.layers: list[tf.keras.layers.Layer] = []
        self.statistics: dict[str, RunningStatistics] = {}  # by the key of the observation's array
        self.convolutions: list[str] = []  # the names of the layers that are convolutions

    @property
    def compute_dtype(self) -> tf.DType:
        """The dtype of convolutions' outputs; those of other layers have it, too, or are float32."""
        return _compute_dtype(self._conv_precision)

    def running_statistics(self, key: str, size: int) -> Layer:
        """Makes `RunningStatistics`, which normalise one array of the observation."""
        self.statistics[key] = self._make_statistics(f"{key}_statistics", size)
        return self._keep(self.statistics[key])

    def dense(self, name: str, units: int, activation: str | None = None, *, fan_in: int) -> Layer:
        options = self._initializers(fan_in)
        return self._keep(self._dense(units, activation, name=name, dtype=self._precision, **options))

    def head(self, name: str, units: int, *, fan_in: int) -> Layer:
        """Makes the last layer, which computes Q in float32: rounded values would be wrong targets."""
        options = self._initializers(fan_in)
        return self._keep(self._dense(units, name=name, dtype="float32", **options))

    def linear(self, name: str, units: int, *, fan_in: int) -> Layer:
        """Makes a dense layer without bias, initially zero: θ of the linear network."""
        return self._keep(tf.keras.layers.Dense(units, use_bias=False, kernel_initializer="zeros", name=name))

    def noisy(
        self, name: str, units: int, activation: str | None, *, fan_in: int, sigma: float, is_last: bool
    ) -> NoisyLayer:
        """Makes a `NoisyDense`, whose noise has a learned scale, as a hidden or as the last layer."""
        precision = "float32" if is_last else self._precision
        initializers = self._initializers(fan_in)
        return self._keep(NoisyDense(self.leading, fan_in, units, activation, sigma, initializers, precision, name))

    def layer_norm(self, name: str, width: int) -> Layer:
        return self._keep(LayerNorm(self.leading, width, self._precision, name))

    def memory(self, name: str, kind: str, units: int, *, fan_in: int) -> Memory | None:
        """Makes a recurrent layer of `MEMORIES`."""
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
        """Makes a convolution without padding; the network's settings must be a `ConvolutionalNetwork`."""
        self.convolutions.append(name)
        return self._make_conv(name, filters, size, stride, activation, channels_in)

    def padded_conv(self, name: str, filters: int, size: int, *, channels_in: int, is_spectral: bool = False) -> Layer:
        """Makes a convolution without activation that keeps the size of an image, for networks as `conv`."""
        self.convolutions.append(name)
        return self._make_padded_conv(name, filters, size, channels_in, is_spectral)

    def flatten(self, height: int, width: int, channels: int) -> Layer:
        """Flattens images [B, H, W, C] to [B, H · W · C], with the dtype of dense layers' outputs."""
        dtype = _compute_dtype(self._precision)
        return lambda images: tf.cast(tf.reshape(images, [-1, height * width * channels]), dtype)

    def branch(self) -> AbstractContextManager:
        """A block whose layers have the same input as the first layer that is made after it."""
        return nullcontext()

    def named_weights(self) -> dict[str, tf.Variable]:
        """The weights by name ("hidden_0/kernel"), from input to output."""
        return {
            f"{layer.name}/{weight.name.rpartition('/')[2].partition(':')[0]}": weight
            for layer in self.layers
            for weight in layer.weights
        }

    def join(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Joins the pieces of arrays; names are those of `named_weights`, with any prefix. Returns canonical names."""
        return dict(arrays)

    def piece(self, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        """The inverse of `join`: the array, or piece of one, for a name of `named_weights` with any prefix.

        Raises what `arrays` raises for a missing name, and ValueError for an array of another shape.
        """
        return arrays[name]

    def _make_conv(
        self, name: str, filters: int, size: int, stride: int, activation: str | None, channels_in: int
    ) -> Layer:
        options = self._initializers(channels_in * size * size)
        return self._keep(
            tf.keras.layers.Conv2D(
                filters, size, stride, activation=activation, name=name, dtype=self._conv_precision, **options
            )
        )

    def _make_padded_conv(self, name: str, filters: int, size: int, channels_in: int, is_spectral: bool) -> Layer:
        initializers = self._initializers(channels_in * size * size)
        settings = (self.leading, filters, size, initializers, self._conv_precision, name)
        return self._keep(Conv(*settings, padding="SAME", is_spectral=is_spectral))

    def _make_statistics(self, name: str, size: int) -> RunningStatistics:
        return RunningStatistics(self.leading, size, name)

    def _initializers(self, fan_in: int) -> dict[str, Initializer]:
        return uniform(fan_in, self._seeds)

    def _keep(self, layer: tf.keras.layers.Layer) -> Callable[..., tf.Tensor]:
        self.layers.append(layer)
        return layer


class RecordingFactory(LayerFactory):
    """Records the name and shape of each weight that `LayerFactory` would make, without making any variable.

    `leading` are the leading axes of every weight: (K,) for an ensemble; () for one network.
    """

    def __init__(self, leading: tuple[int, ...]):
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

    def _make_conv(
        self, name: str, filters: int, size: int, stride: int, activation: str | None, channels_in: int
    ) -> Layer:
        return self._record(name, kernel=(size, size, channels_in, filters), bias=(filters,))

    def _make_padded_conv(self, name: str, filters: int, size: int, channels_in: int, is_spectral: bool) -> Layer:
        return self._make_conv(name, filters, size, 1, None, channels_in)

    def _record(self, name: str, **shapes: tuple[int, ...]) -> Layer:
        if any(f"{name}/{weight}" in self.specs for weight in shapes):
            raise OwnCodeError(f'two layers are named "{name}": each needs a name of its own, by which it is saved')
        for weight, shape in shapes.items():
            self.specs[f"{name}/{weight}"] = tf.TensorSpec((*self.leading, *shape))
        return lambda inputs: inputs


def _compute_dtype(precision: str) -> tf.DType:
    """The dtype of the outputs of layers that compute in this precision, by Keras's name."""
    return tf.as_dtype(tf.keras.mixed_precision.Policy(precision).compute_dtype)
