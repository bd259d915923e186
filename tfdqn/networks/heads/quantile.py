"""`QuantileHead`: quantiles of the return at fixed fractions: Dabney et al. 2018a.

`ImplicitQuantileHead`: the quantile function of the return: Dabney et al. 2018b, section 3.1:

Z_τ(s, a) = f(ψ(s) ⊙ φ(τ))_a, with φ_j(τ) = ReLU(Σ_{i=0}^{n−1} cos(π i τ) w_ij + b_j), their equation 4: ψ is the torso,
f the stream after it.
"""

import numpy as np
import tensorflow as tf

from tfdqn.config import IQN, QRDQN, Config
from tfdqn.networks.heads.head import Head, NumpyHead
from tfdqn.networks.layers.in_numpy import dense_numpy
from tfdqn.networks.layers.plain import Layer, LayerFactory
from tfdqn.networks.noise import Noise, cos_pi
from tfdqn.networks.streams import Stream, stream, stream_numpy
from tfdqn.types import Rng, Weights

_EMBEDDING = "embedding"  # the name of IQN's layer φ


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


class ImplicitQuantileHead(QuantileHead):
    """A `QuantileHead` whose quantiles, float32[…, B, A, K] at the midpoints of K equal parts, depend on τ's embedding.

    `embedding` is φ, from cosines float32[N, n] to a number for each feature; `stream` is f.
    """

    def __init__(self, embedding: Layer, stream: Stream, cosines: int, fractions: int):
        super().__init__(stream)
        self._embedding, self._cosines = embedding, cosines
        self._midpoints = midpoints(fractions)[np.newaxis]

    def outputs(self, features: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        return self.at(features, tf.constant(self._midpoints), noise)

    def at(self, features: tf.Tensor, tau: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        """Computes the quantiles Z_τ(s, ·) float32[…, B, A, N] from features float32[…, B, F].

        The fractions τ are float32[B, N], or [1, N] if they are the same for all examples.
        """
        count, width = tau.shape[-1], features.shape[-1]
        cosines = cos_pi(tf.reshape(tau, [-1, 1]) * np.arange(self._cosines, dtype=np.float32))
        embedded = tf.cast(self._embedding(cosines), features.dtype)
        leading = [*embedded.shape[:-2], -1]  # an ensemble's K, which features that all members share don't have
        embedded = tf.reshape(embedded, [*leading, count, width])
        product = tf.reshape(features[..., tf.newaxis, :] * embedded, [*leading, width])
        quantiles = self._stream(product, noise)
        return tf.linalg.matrix_transpose(tf.reshape(quantiles, [*leading, count, quantiles.shape[-1]]))


def implicit_quantile(config: Config, width: int, num_actions: int, make: LayerFactory) -> ImplicitQuantileHead:
    """Makes a head with an embedding of τ that multiplies the features."""
    settings = config.agent
    assert isinstance(settings, IQN)
    embedding = make.dense(_EMBEDDING, width, "relu", fan_in=settings.embedding)
    end = stream(config, width, num_actions, make)
    return ImplicitQuantileHead(embedding, end, settings.embedding, settings.acting_quantiles)


def implicit_quantile_numpy(config: Config) -> NumpyHead:
    """`implicit_quantile` on NumPy arrays."""
    settings = config.agent
    assert isinstance(settings, IQN)
    end, count = stream_numpy(config), settings.acting_quantiles
    turns = midpoints(count)[:, np.newaxis] * np.arange(settings.embedding, dtype=np.float32)  # as the network's
    cosines = np.cos(np.pi * turns.astype(np.float64)).astype(np.float32)

    def head(weights: Weights, features: np.ndarray, rng: Rng | None) -> np.ndarray:
        embedded = dense_numpy(weights, _EMBEDDING, cosines, "relu")[..., np.newaxis, :, :]
        product = features[..., np.newaxis, :] * embedded
        quantiles = end(weights, product.reshape(*product.shape[:-3], -1, product.shape[-1]), rng)
        return quantiles.reshape(*product.shape[:-1], -1).mean(axis=-2)

    return head
