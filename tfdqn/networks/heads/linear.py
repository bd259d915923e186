"""`LinearHead`: a head whose outputs are the Q-values."""

import tensorflow as tf

from tfdqn.config import Config
from tfdqn.networks.heads.head import Head
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.noise import Noise
from tfdqn.networks.streams import Stream, stream


class LinearHead(Head):
    """A head whose outputs are one number for each action, the Q-value.

    Args:
      stream: computes the Q-values from features.
    """

    def __init__(self, stream: Stream):
        self._stream = stream

    def outputs(self, features: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        return self._stream(features, noise)

    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        return outputs


def linear(config: Config, width: int, num_actions: int, make: LayerFactory) -> LinearHead:
    """Makes a head with one number for each action."""
    return LinearHead(stream(config, width, num_actions, make))
