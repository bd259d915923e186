"""`SplitLayerFactory`: makes the same named layers as `LayerFactory`, each cut into pieces on several devices.

Layers are cut in pairs, as in Shoeybi et al. 2019 (Megatron-LM, section 3): the first of a pair by its outputs, so
that each device computes some of the units or channels from the whole input; the second by its inputs, so that each
device continues with its own part, and only the results, which are summed, are sent between devices.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from tfdqn.errors import ConfigError
from tfdqn.networks.layers.plain import Layer, LayerFactory, NoisyLayer
from tfdqn.networks.layers.sharded import (
    ColumnParallel,
    Function,
    Initial,
    Partition,
    PlacedStatistics,
    Replicated,
    RowParallel,
)


class SplitLayerFactory(LayerFactory):
    """Makes layers in pieces, with the initial weights that `LayerFactory(seed)` would give them.

    The first of the M devices also has what isn't cut.
    """

    def __init__(self, seed: int, devices: Sequence[str]):
        super().__init__(seed)
        self._devices = list(devices)
        self._sizes: tuple[int, ...] | None = None  # of the pieces of the previous layer's output; None: it isn't cut
        self._image: tuple[int, int, int] | None = None

    def dense(self, name: str, units: int, activation: str | None = None, *, fan_in: int) -> Layer:
        function = Function(tf.matmul, tf.keras.activations.get(activation))
        return self._cut(name, function, self._initial((fan_in, units), fan_in))

    def head(self, name: str, units: int, *, fan_in: int) -> Layer:
        if self._sizes is not None:
            return self.dense(name, units, fan_in=fan_in)
        return self._keep(Replicated(name, self._devices[0], self._initial((fan_in, units), fan_in)))

    def linear(self, name: str, units: int, *, fan_in: int) -> Layer:
        raise ConfigError("learner.model_parallel above 1: a linear network has no layers to split")

    def noisy(
        self, name: str, units: int, activation: str | None, *, fan_in: int, sigma: float, is_last: bool
    ) -> NoisyLayer:
        raise ConfigError("learner.model_parallel above 1: the layers of network.noisy can't be split")

    def layer_norm(self, name: str, width: int) -> Layer:
        raise ConfigError("learner.model_parallel above 1: what network.layer_norm normalises can't be split")

    def flatten(self, height: int, width: int, channels: int) -> Layer:
        """Flattens images float32[B, H, W, C] to float32[B, H · W · C], in pieces if the images' channels are."""
        if self._sizes is None:
            return super().flatten(height, width, channels)
        self._image = (height, width, channels)
        sizes = self._sizes

        def flatten(pieces: list[tf.Tensor]) -> list[tf.Tensor]:
            return [tf.reshape(piece, [-1, height * width * size]) for piece, size in zip(pieces, sizes, strict=True)]

        return flatten

    @contextmanager
    def branch(self) -> Iterator[None]:
        before = self._sizes, self._image
        yield
        self._sizes, self._image = before

    def named_weights(self) -> dict[str, tf.Variable]:
        """The pieces by name ("hidden_0/kernel/1" is on the second device), from input to output."""
        return {
            f"{layer.name}/{kind}{suffix}": piece
            for layer in self.layers
            for kind, pieces in layer.pieces.items()
            for suffix, piece in pieces.items()
        }

    def join(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        pieces: dict[str, list[np.ndarray]] = {}
        for name, array in arrays.items():
            pieces.setdefault(_whole_name(name)[0], []).append(array)
        cuts = {name: self._cut_of(name) for name in pieces}
        return {name: parts[0] if (cut := cuts[name]) is None else cut.join(parts) for name, parts in pieces.items()}

    def piece(self, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        whole_name, index = _whole_name(name)
        array, cut = arrays[whole_name], self._cut_of(whole_name)
        return array if cut is None else cut.piece(np.asarray(array), index)

    def _make_conv(
        self, name: str, filters: int, size: int, stride: int, activation: str | None, channels_in: int
    ) -> Layer:
        def convolve(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
            return tf.nn.conv2d(images, kernel, stride, "VALID")

        initial = self._initial((size, size, channels_in, filters), channels_in * size * size)
        return self._cut(name, Function(convolve, tf.keras.activations.get(activation)), initial)

    def _make_padded_conv(self, name: str, filters: int, size: int, channels_in: int, is_spectral: bool) -> Layer:
        raise ConfigError("learner.model_parallel above 1: the residual blocks of an IMPALA network can't be split")

    def _make_statistics(self, name: str, size: int) -> PlacedStatistics:
        return PlacedStatistics(size, name, self._devices[0])

    def _cut_of(self, name: str) -> Partition | None:
        """How the array of a canonical name, with any prefix, is cut; None if it isn't."""
        for layer in self.layers:
            for kind, cut in layer.cuts.items():
                if f"/{name}".endswith(f"/{layer.name}/{kind}"):
                    return cut
        return None

    def _cut(self, name: str, function: Function, initial: Initial) -> Layer:
        shape = initial.kernel.shape
        if self._sizes is None:
            self._sizes = self._even(name, shape[-1])
            cut = Partition(shape, shape, len(shape) - 1, self._sizes)
            return self._keep(ColumnParallel(name, self._devices, cut, function, initial))
        sizes, self._sizes = self._sizes, None
        image, self._image = self._image, None
        # After an image, the rows of a dense layer are the channels of each pixel, so a piece isn't a block of rows.
        view = (*image, shape[-1]) if image is not None else shape
        cut = Partition(shape, view, len(view) - 2, sizes)
        return self._keep(RowParallel(name, self._devices, cut, function, initial))

    def _initial(self, shape: tuple[int, ...], fan_in: int) -> Initial:
        """Computes them on the host, which has memory for all of it; the result is the same on any device."""
        kernel, bias = self._initializers(fan_in).values()
        with tf.device("CPU:0"):
            return Initial(kernel(shape).numpy(), bias(shape[-1:]).numpy())

    def _even(self, name: str, units: int) -> tuple[int, ...]:
        count = len(self._devices)
        if units < count:
            raise ConfigError(f"learner.model_parallel = {count}: layer {name} has only {units} units")
        return tuple(len(part) for part in np.array_split(np.arange(units), count))


def _whole_name(name: str) -> tuple[str, int]:
    """Splits "some/hidden_0/kernel/1" into ("some/hidden_0/kernel", 1); a name without an index has the index 0."""
    stem, _, index = name.rpartition("/")
    return (stem, int(index)) if index.isdigit() else (name, 0)
