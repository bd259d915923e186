"""`EnsembleLayerFactory`: makes the same named layers as `LayerFactory`, each for K members at once.

Every weight has a leading axis K. A layer takes float32[B, …], which all members share, or [K, B, …], and returns
[K, B, …]. Dense layers are one batched matrix product; convolutions are computed member by member, since TensorFlow has
no grouped convolutions on CPU.
"""

from collections.abc import Sequence
from functools import partial

import tensorflow as tf

from tfdqn.networks.layers.conv import Conv
from tfdqn.networks.layers.dense import Initializer
from tfdqn.networks.layers.plain import Layer, LayerFactory


class EnsembleLayerFactory(LayerFactory):
    """Makes layers of K members; member k has the initial weights that `LayerFactory(seeds[k])` would give it."""

    def __init__(self, seeds: Sequence[int]):
        super().__init__(seed=0)
        self.leading = (len(seeds),)
        self._members = [LayerFactory(seed) for seed in seeds]

    def dense(self, name: str, units: int, activation: str | None = None, *, fan_in: int) -> Layer:
        initializers = self._initializers(fan_in)
        return self._keep(_EnsembleDense(len(self._members), units, activation, name=name, **initializers))

    def head(self, name: str, units: int, *, fan_in: int) -> Layer:
        return self.dense(name, units, fan_in=fan_in)

    def linear(self, name: str, units: int, *, fan_in: int) -> Layer:
        return self._keep(_EnsembleDense(len(self._members), units, None, "zeros", bias_initializer=None, name=name))

    def flatten(self, height: int, width: int, channels: int) -> Layer:
        """Flattens images float32[K, B, H, W, C] to float32[K, B, H · W · C]."""
        return lambda images: tf.reshape(images, [len(self._members), -1, height * width * channels])

    def _make_conv(
        self, name: str, filters: int, size: int, stride: int, activation: str | None, channels_in: int
    ) -> Layer:
        initializers = self._initializers(channels_in * size * size)
        settings = (self.leading, filters, size, initializers, self._conv_precision, name)
        return self._keep(Conv(*settings, stride=stride, activation=activation))

    def _initializers(self, fan_in: int) -> dict[str, Initializer]:
        each = [member._initializers(fan_in) for member in self._members]
        return {name: partial(_stacked, [member[name] for member in each]) for name in each[0]}


def _stacked(members: Sequence[Initializer], shape: Sequence[int], dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Stacks the results of K initialisers, one for each member, for a weight of this shape, whose first axis is K."""
    return tf.stack([initializer(shape[1:], dtype) for initializer in members])


class _EnsembleDense(tf.keras.layers.Layer):
    """K dense layers: kernel float32[K, in, out], and bias float32[K, out] if there is an initialiser for it."""

    def __init__(
        self,
        size: int,
        units: int,
        activation: str | None,
        kernel_initializer: Initializer | str,
        bias_initializer: Initializer | None,
        name: str,
    ):
        super().__init__(name=name)
        self._shape = (size, units)
        self._activation = tf.keras.activations.get(activation)
        self._kernel_initializer, self._bias_initializer = kernel_initializer, bias_initializer
        self.bias: tf.Variable | None = None

    def build(self, input_shape: tf.TensorShape) -> None:
        size, units = self._shape
        self.kernel = self.add_weight("kernel", (size, input_shape[-1], units), initializer=self._kernel_initializer)
        if self._bias_initializer is not None:
            self.bias = self.add_weight("bias", (size, units), initializer=self._bias_initializer)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        outputs = tf.matmul(inputs, self.kernel)
        return self._activation(outputs if self.bias is None else outputs + self.bias[:, tf.newaxis])
