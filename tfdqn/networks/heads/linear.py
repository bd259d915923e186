"""`LinearHead`: one number for each action."""

import tensorflow as tf

from tfdqn.config import Config
from tfdqn.networks.heads.head import Head
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.noise import Noise
from tfdqn.networks.streams import Stream, stream


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


def linear(config: Config, width: int, num_actions: int, make: LayerFactory) -> LinearHead:
    """One number for each action."""
    return LinearHead(stream(config, width, num_actions, make))
