"""Heads: the end of a Q-network, from a torso's features to Q(s, ·), each in TensorFlow and in NumPy.

Which head a network has is said by its loss's settings: `HEADS` has a head for each type of them that needs another
than the linear one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import Agent, Config, Linear
from tfdqn.networks.layers.plain import Layer, LayerFactory
from tfdqn.networks.registry import Registry
from tfdqn.types import Weights


class Head(ABC):
    """Features → outputs, which the loss reads → Q-values, which act. An ensemble's lead with K."""

    @abstractmethod
    def outputs(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Of features float32[…, B, F], what the loss is computed from: Q itself, logits, quantiles."""

    @abstractmethod
    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        """Q float32[…, B, A] of those outputs: what acts, is evaluated, exported and served."""


class LinearHead(Head):
    """One layer, whose outputs are the Q-values themselves.

    Args:
      layer: from features to one number for each action.
    """

    def __init__(self, layer: Layer):
        self._layer = layer

    def outputs(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self._layer(features)

    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        return outputs


NumpyHead = Callable[[Weights, np.ndarray], np.ndarray]  # (weights by name, features [B, F]) → Q float32[B, A]


class HeadKind(NamedTuple):
    """How a head is made."""

    # (configuration, width F of the features, number of actions A, layers) → the head
    build: Callable[[Config, int, int, LayerFactory], Head]
    in_numpy: Callable[[Config], NumpyHead] | None = None  # None: it acts by TensorFlow


def output_layer(config: Config, units: int, fan_in: int, make: LayerFactory) -> Layer:
    """The last layer of a network, from its features to `units` numbers: of the linear network, θ."""
    if isinstance(config.network, Linear):
        return make.linear("theta", units, fan_in=fan_in)
    return make.head("q", units, fan_in=fan_in)


def output_numpy(config: Config) -> NumpyHead:
    """`output_layer` on NumPy arrays."""
    if isinstance(config.network, Linear):
        return lambda weights, features: features @ weights["theta/kernel"]
    return lambda weights, features: features @ weights["q/kernel"] + weights["q/bias"][..., np.newaxis, :]


def linear(config: Config, width: int, num_actions: int, make: LayerFactory) -> Head:
    """One number for each action."""
    return LinearHead(output_layer(config, num_actions, width, make))


HEADS: Registry[HeadKind] = Registry({Agent: HeadKind(linear, output_numpy)})
