"""`FlatLayout`: converts many named arrays to one vector and back, so that one call reads them over a network."""

import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf


class FlatLayout:
    """The order, shapes and sizes of named float32 arrays in one vector; `shapes` has its order."""

    def __init__(self, like: Mapping[str, tf.Variable]):
        self.shapes = {name: tuple(each.shape) for name, each in like.items()}
        self._sizes = [math.prod(shape) for shape in self.shapes.values()]
        self.size = sum(self._sizes)

    def flat(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Concatenates arrays, by name, into float32[size]."""
        return np.concatenate([np.ravel(arrays[name]) for name in self.shapes])

    def named(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Splits float32[size] into arrays, by name."""
        parts = np.split(flat, np.cumsum(self._sizes)[:-1])
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def named_tensors(self, flat: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `named`, but in the graph."""
        parts = tf.split(flat, self._sizes)
        return {name: tf.reshape(part, shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


def flat_tensor(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Concatenates tensors, in the layout's order, into one vector."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)
