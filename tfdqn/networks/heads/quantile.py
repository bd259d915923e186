"""`QuantileHead`: quantiles of the return at fixed fractions: Dabney et al. 2018a."""

import numpy as np
import tensorflow as tf

from tfdqn.config import QRDQN, Config
from tfdqn.networks.heads.head import Head, NumpyHead
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.streams import stream, stream_numpy
from tfdqn.types import Rng, Weights


class QuantileHead(Head):
    """A head whose outputs are quantiles θ float32[…, B, A, N] at `midpoints`; Q(s, a) is their mean."""

    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(outputs, axis=-1)


def midpoints(count: int) -> np.ndarray:
    """τ̂_i = (i + ½) / N float32[N], the fractions of N equal parts: Dabney et al. 2018a, lemma 2."""
    return (np.arange(count, dtype=np.float32) + 0.5) / count


def quantile(config: Config, width: int, num_actions: int, make: LayerFactory) -> QuantileHead:
    """Makes a head with N quantiles for each action."""
    settings = config.agent
    assert isinstance(settings, QRDQN)
    return QuantileHead(stream(config, width, num_actions, make, settings.quantiles))


def quantile_numpy(config: Config) -> NumpyHead:
    """`quantile` on NumPy arrays."""
    settings = config.agent
    assert isinstance(settings, QRDQN)
    quantiles = stream_numpy(config, settings.quantiles)

    def head(weights: Weights, features: np.ndarray, rng: Rng | None) -> np.ndarray:
        return quantiles(weights, features, rng).mean(axis=-1)

    return head
