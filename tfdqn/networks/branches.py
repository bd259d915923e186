"""Branches: Q-values for each of several action dimensions, by separate streams from the same features.

Tavakoli, Pardo and Kormushev 2018, 'Action branching architectures for deep reinforcement learning'. A dueling network
has one value and D streams of advantages (their equation 1):

Q_d(s, a_d) = V(s) + A_d(s, a_d) − 1 / A_d Σ_a' A_d(s, a')

Any other network has D streams of Q-values. Every stream has its own last hidden layer. The result has D rows, all as
long as the largest dimension. The shorter ones are padded with the value of their first action, so that the argmax,
which is the first of equal values, is never in the padding.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfdqn.config import Config, Network
from tfdqn.networks.heads.head import LinearHead, NumpyHead
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.noise import Noise
from tfdqn.networks.streams import ADVANTAGE, VALUE, NumpyStream, Stream, deep, layers, numpy_layers, output_name
from tfdqn.types import Rng, Weights


def branching(config: Config, width: int, num_actions: Sequence[int], make: LayerFactory) -> LinearHead:
    """Makes a head from features float32[…, B, F] to Q float32[…, B, D, A]; A is the largest number of actions."""
    settings = config.network
    if not deep(settings).dueling:
        streams = _streams(settings, output_name(settings), num_actions, width, make)
        return LinearHead(_side_by_side(streams, max(num_actions)))
    with make.branch():
        value_of = layers(settings, VALUE, VALUE, 1, width, make)
    advantages_of = _streams(settings, ADVANTAGE, num_actions, width, make)
    centred = _side_by_side([_centred(each) for each in advantages_of], max(num_actions))
    return LinearHead(lambda features, noise: value_of(features, noise)[..., tf.newaxis] + centred(features, noise))


def branching_numpy(config: Config, num_actions: Sequence[int]) -> NumpyHead:
    """`branching` on NumPy arrays: features float32[B, F], or [K, B, F] for an ensemble."""
    settings = config.network
    is_dueling = deep(settings).dueling
    name = ADVANTAGE if is_dueling else output_name(settings)
    streams = [numpy_layers(settings, f"{name}_{d}", f"{name}_{d}") for d in range(len(num_actions))]
    if not is_dueling:
        return _side_by_side_numpy(streams, max(num_actions))
    value_of = numpy_layers(settings, VALUE, VALUE)
    centred = _side_by_side_numpy([_centred_numpy(each) for each in streams], max(num_actions))

    def dueling(weights: Weights, features: np.ndarray, rng: Rng | None) -> np.ndarray:
        return value_of(weights, features, rng)[..., np.newaxis] + centred(weights, features, rng)

    return dueling


def _streams(settings: Network, name: str, num_actions: Sequence[int], width: int, make: LayerFactory) -> list[Stream]:
    streams = []
    for d, count in enumerate(num_actions):
        with make.branch():
            streams.append(layers(settings, f"{name}_{d}", f"{name}_{d}", count, width, make))
    return streams


def _centred(advantages_of: Stream) -> Stream:
    def centred(features: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        advantages = advantages_of(features, noise)
        return advantages - tf.reduce_mean(advantages, axis=-1, keepdims=True)

    return centred


def _side_by_side(streams: Sequence[Stream], widest: int) -> Stream:
    """Stacks the outputs float32[…, A_d] of D streams, padded, into float32[…, D, widest]."""

    def rows(features: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        each = [stream(features, noise) for stream in streams]
        missing = [widest - values.shape[-1] for values in each]
        padded = [
            tf.concat([values] + [values[..., :1]] * count, axis=-1)
            for values, count in zip(each, missing, strict=True)
        ]
        return tf.stack(padded, axis=-2)

    return rows


def _centred_numpy(advantages_of: NumpyStream) -> NumpyStream:
    def centred(weights: Weights, features: np.ndarray, rng: Rng | None) -> np.ndarray:
        advantages = advantages_of(weights, features, rng)
        return advantages - advantages.mean(axis=-1, keepdims=True)

    return centred


def _side_by_side_numpy(streams: Sequence[NumpyStream], widest: int) -> NumpyStream:
    def rows(weights: Weights, features: np.ndarray, rng: Rng | None) -> np.ndarray:
        each = [stream(weights, features, rng) for stream in streams]
        found = np.empty((*each[0].shape[:-1], len(each), widest), np.float32)
        for d, values in enumerate(each):
            found[..., d, : values.shape[-1]] = values
            found[..., d, values.shape[-1] :] = values[..., :1]
        return found

    return rows
