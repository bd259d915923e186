"""Layers that are split over devices: how an array is cut into pieces, and layers that compute with the pieces."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.networks.layers.statistics import RunningStatistics

Tensors = list[tf.Tensor]
_ONE_PIECE = ""


class Partition(NamedTuple):
    """How an array of `shape` is cut: reshaped to `view`, and cut along `axis` into pieces of these sizes."""

    shape: tuple[int, ...]
    view: tuple[int, ...]
    axis: int
    sizes: tuple[int, ...]

    def piece(self, array: np.ndarray, index: int) -> np.ndarray:
        """Returns one piece, which has the array's rank. Raises ValueError for an array of another shape."""
        if array.shape != self.shape:
            raise ValueError(f"an array of shape {array.shape} can't be cut as one of shape {self.shape}")
        first = sum(self.sizes[:index])
        part = array.reshape(self.view)[(*[slice(None)] * self.axis, slice(first, first + self.sizes[index]))]
        return part if self.view == self.shape else part.reshape(-1, *self.shape[1:])

    def join(self, pieces: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the array whose pieces these are."""
        before, after = self.view[: self.axis], self.view[self.axis + 1 :]
        parts = [piece.reshape(*before, size, *after) for piece, size in zip(pieces, self.sizes, strict=True)]
        return np.concatenate(parts, axis=self.axis).reshape(self.shape)


class Function(NamedTuple):
    """The function of a layer: `activate(product(inputs, kernel) + bias)`."""

    product: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    activate: Callable[[tf.Tensor], tf.Tensor]


class Initial(NamedTuple):
    """The whole kernel and bias of a layer, before they are cut."""

    kernel: np.ndarray
    bias: np.ndarray


class _Sharded(tf.keras.layers.Layer):
    """A layer that keeps its variables by kind ("kernel", "bias") and by piece ("/0"; "" if it isn't cut)."""

    def __init__(self, name: str):
        super().__init__(name=name)
        self.cuts: dict[str, Partition] = {}
        self.pieces: dict[str, dict[str, tf.Variable]] = {}

    def _keep_pieces(self, kind: str, array: np.ndarray, cut: Partition, devices: Sequence[str]) -> list[tf.Variable]:
        self.cuts[kind] = cut
        kept = [self._keep(f"{kind}/{i}", cut.piece(array, i), device) for i, device in enumerate(devices)]
        self.pieces[kind] = {f"/{i}": piece for i, piece in enumerate(kept)}
        return kept

    def _keep_whole(self, kind: str, array: np.ndarray, device: str) -> tf.Variable:
        kept = self._keep(kind, array, device)
        self.pieces[kind] = {_ONE_PIECE: kept}
        return kept

    def _keep(self, name: str, array: np.ndarray, device: str) -> tf.Variable:
        with tf.device(device):
            return self.add_weight(
                name.replace("/", "_"), array.shape, initializer=lambda shape, dtype=None: tf.constant(array)
            )


class ColumnParallel(_Sharded):
    """A layer of which each device computes some units or channels from the whole input: a tensor → a list of them."""

    def __init__(self, name: str, devices: Sequence[str], cut: Partition, function: Function, initial: Initial):
        super().__init__(name)
        self._devices, self._function = devices, function
        self._kernels = self._keep_pieces("kernel", initial.kernel, cut, devices)
        shape = initial.bias.shape
        self._biases = self._keep_pieces("bias", initial.bias, Partition(shape, shape, 0, cut.sizes), devices)

    def call(self, inputs: tf.Tensor) -> Tensors:
        def part(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
            return self._function.activate(self._function.product(x, kernel) + bias)

        pieces = zip(self._devices, self._kernels, self._biases, strict=True)
        return [_placed(device, part, inputs, kernel, bias) for device, kernel, bias in pieces]


class RowParallel(_Sharded):
    """A layer of which each device uses its part of the input; the first adds the results: a list → a tensor."""

    def __init__(self, name: str, devices: Sequence[str], cut: Partition, function: Function, initial: Initial):
        super().__init__(name)
        self._devices, self._function = devices, function
        self._kernels = self._keep_pieces("kernel", initial.kernel, cut, devices)
        self._whole_bias = self._keep_whole("bias", initial.bias, devices[0])

    def call(self, inputs: Tensors) -> tf.Tensor:
        pieces = zip(self._devices, inputs, self._kernels, strict=True)
        sums = [_placed(device, self._function.product, x, kernel) for device, x, kernel in pieces]

        def finish(bias: tf.Tensor, *sums: tf.Tensor) -> tf.Tensor:
            return self._function.activate(tf.add_n(sums) + bias)

        return _placed(self._devices[0], finish, self._whole_bias, *sums)


class Replicated(_Sharded):
    """A dense layer without activation, entirely on one device."""

    def __init__(self, name: str, device: str, initial: Initial):
        super().__init__(name)
        self._device = device
        self._whole_kernel = self._keep_whole("kernel", initial.kernel, device)
        self._whole_bias = self._keep_whole("bias", initial.bias, device)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        def affine(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
            return tf.matmul(x, kernel) + bias

        return _placed(self._device, affine, inputs, self._whole_kernel, self._whole_bias)


class PlacedStatistics(RunningStatistics):
    """Running statistics, entirely on one device."""

    def __init__(self, size: int, name: str, device: str):
        with tf.device(device):
            super().__init__((), size, name)
        self.cuts: dict[str, Partition] = {}
        whole = {"mean": self.mean, "variance": self.variance, "count": self.count}
        self.pieces = {kind: {_ONE_PIECE: variable} for kind, variable in whole.items()}


def _placed(device: str, function: Callable[..., tf.Tensor], *inputs: tf.Tensor | tf.Variable) -> tf.Tensor:
    """Computes `function(*inputs)`, and its gradient, on a device; TensorFlow would place the gradient on the first."""

    @tf.custom_gradient
    def call(*values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        with tf.device(device), tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            output = function(*values)

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            with tf.device(device):
                return tape.gradient(output, values, upstream)

        return output, gradient

    with tf.device(device):
        values = [tf.convert_to_tensor(each) for each in inputs]
        return call(*values)
