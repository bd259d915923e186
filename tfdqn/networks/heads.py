"""Heads: what a network's last numbers mean, from a torso's features to Q(s, ·), each in TensorFlow and in NumPy.

Which head a network has is said by its loss's settings: `HEADS` has a head for each type of them that needs another
than the linear one. A head makes its layers by `streams.stream`, so that it can be dueling and noisy.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import Agent, Config
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.noise import Noise
from tfdqn.networks.registry import Registry
from tfdqn.networks.streams import Stream, stream, stream_numpy
from tfdqn.types import Weights


class Head(ABC):
    """Features → outputs, which the loss reads → Q-values, which act. An ensemble's lead with K."""

    @abstractmethod
    def outputs(self, features: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        """Of features float32[…, B, F], what the loss is computed from: Q itself, logits, quantiles."""

    @abstractmethod
    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        """Q float32[…, B, A] of those outputs: what acts, is evaluated, exported and served."""


class LinearHead(Head):
    """One number for each action, which is the Q-value itself.

    Args:
      stream: from features to those numbers.
    """

    def __init__(self, stream: Stream):
        self._stream = stream

    def outputs(self, features: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        return self._stream(features, noise)

    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        return outputs


# (weights by name, features [B, F], what noisy layers draw from, if they shall) → Q float32[B, A]
NumpyHead = Callable[[Weights, np.ndarray, np.random.Generator | None], np.ndarray]


class HeadKind(NamedTuple):
    """How a head is made."""

    # (configuration, width F of the features, number of actions A, layers) → the head
    build: Callable[[Config, int, int, LayerFactory], Head]
    in_numpy: Callable[[Config], NumpyHead] | None = None  # None: it acts by TensorFlow


def linear(config: Config, width: int, num_actions: int, make: LayerFactory) -> Head:
    """One number for each action."""
    return LinearHead(stream(config, width, num_actions, make))


HEADS: Registry[HeadKind] = Registry({Agent: HeadKind(linear, stream_numpy)})
