"""`RecordingFactory`: what weights a torso's layers have, told without making one."""

import tensorflow as tf

from tfdqn.networks.layers.plain import Layer, LayerFactory


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
