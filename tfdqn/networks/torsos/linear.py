"""Features of the linear network: the observation itself, or its monomials."""

from itertools import combinations_with_replacement

import numpy as np
import tensorflow as tf

from tfdqn.config import Linear
from tfdqn.networks import encoding
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.task_fit import normalized_keys
from tfdqn.networks.torsos.torso import NumpyTorso, Observation, Torso, normalizers, normalizers_numpy
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Weights


def linear(settings: Linear, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Makes φ(s) of the linear network Q(s, a) = θ_aᵀ φ(s): the identity, or all monomials up to a degree."""
    inputs, normalize = encoding.num_features(task_spec), normalizers(make, settings, task_spec)

    def encoded(observation: Observation) -> tf.Tensor:
        return encoding.encode(observation, task_spec, normalize)

    if settings.features == "identity":
        return Torso(inputs, encoded)
    factors = monomials(inputs, settings.degree)
    return Torso(len(factors), lambda observation: polynomial(encoded(observation), factors))


def linear_numpy(settings: Linear, task_spec: TaskSpec) -> NumpyTorso:
    """`linear` on NumPy arrays."""
    normalized = normalized_keys(settings, task_spec)

    def encoded(weights: Weights, observation: dict[str, np.ndarray]) -> np.ndarray:
        return encoding.encode_numpy(observation, task_spec, normalizers_numpy(weights, normalized))

    if settings.features == "identity":
        return encoded
    factors = monomials(encoding.num_features(task_spec), settings.degree)
    return lambda weights, observation: polynomial_numpy(encoded(weights, observation), factors)


def monomials(num_inputs: int, degree: int) -> np.ndarray:
    """The factors of every monomial of total degree at most `degree`, int32[F, degree].

    Index 0 stands for the constant 1 and index i for input i - 1, so F = C(num_inputs + degree, degree).
    """
    return np.array(list(combinations_with_replacement(range(num_inputs + 1), degree)), np.int32)


def polynomial(inputs: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Computes φ(s) float32[…, B, F]: the products of inputs float32[…, B, N] that `monomials` lists."""
    with_one = tf.pad(inputs, [*[[0, 0]] * (inputs.shape.rank - 1), [1, 0]], constant_values=1.0)
    return tf.reduce_prod(tf.gather(with_one, factors, axis=-1), axis=-1)


def polynomial_numpy(inputs: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """`polynomial` on NumPy arrays."""
    with_one = np.concatenate([np.ones((*inputs.shape[:-1], 1), np.float32), inputs], axis=-1)
    return with_one[..., factors].prod(axis=-1)
