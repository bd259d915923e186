"""Features of the linear network: the observation itself, or its monomials."""

from itertools import combinations_with_replacement

import numpy as np
import tensorflow as tf

from tfdqn.config import Linear
from tfdqn.networks import encoding
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.torsos.torso import NumpyTorso, Torso, feed_forward
from tfdqn.task_spec import TaskSpec


def linear(settings: Linear, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """φ(s) of the linear network Q(s, a) = θ_aᵀ φ(s): the identity, or all monomials up to a degree."""
    inputs = encoding.num_features(task_spec)
    if settings.features == "identity":
        return feed_forward(inputs, lambda observation: encoding.encode(observation, task_spec))
    factors = monomials(inputs, settings.degree)
    return feed_forward(len(factors), lambda observation: polynomial(encoding.encode(observation, task_spec), factors))


def linear_numpy(settings: Linear, task_spec: TaskSpec) -> NumpyTorso:
    """`linear` on NumPy arrays."""
    if settings.features == "identity":
        return lambda _, observation: encoding.encode_numpy(observation, task_spec)
    factors = monomials(encoding.num_features(task_spec), settings.degree)
    return lambda _, observation: polynomial_numpy(encoding.encode_numpy(observation, task_spec), factors)


def monomials(num_inputs: int, degree: int) -> np.ndarray:
    """The factors of every monomial of total degree at most `degree`, int32[F, degree].

    Index 0 stands for the constant 1 and index i for input i - 1, so F = C(num_inputs + degree, degree).
    """
    return np.array(list(combinations_with_replacement(range(num_inputs + 1), degree)), np.int32)


def polynomial(inputs: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """φ(s) float32[B, F]: products of the inputs float32[B, N], as `monomials` lists them."""
    with_one = tf.pad(inputs, [[0, 0], [1, 0]], constant_values=1.0)
    return tf.reduce_prod(tf.gather(with_one, factors, axis=1), axis=2)


def polynomial_numpy(inputs: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """`polynomial` on NumPy arrays."""
    with_one = np.concatenate([np.ones((len(inputs), 1), np.float32), inputs], axis=1)
    return with_one[:, factors].prod(axis=2)
