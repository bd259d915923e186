"""Torsos: one short function per paper, from observation to features, in TensorFlow and, where it pays, in NumPy.

In TensorFlow each is written once over a `LayerFactory`; in NumPy small dense ones cost a tenth of a `tf.function`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import MLP, Linear, NatureCNN
from tfdqn.errors import ConfigError
from tfdqn.networks import encoding
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.registry import Registry
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Weights

Observation = dict[str, tf.Tensor]
State = Any  # what a recurrent network remembers, a nest of tensors [B, …]; () of one that remembers nothing

# Of the Nature network's convolutions together: how many pixels an output sees, and how far apart two outputs are.
_FIELD, _STRIDE = 36, 8
_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0, out=x),
    "tanh": lambda x: np.tanh(x, out=x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
}


@dataclass(frozen=True)
class Torso:
    """A network without its head; an ensemble's features lead with K."""

    width: int  # F, the number of features
    features: Callable[[Observation, State, bool], tuple[tf.Tensor, State]]  # of training, last: [B, F]


# (weights by name, observation) → features float32[B, F]
NumpyTorso = Callable[[Weights, dict[str, np.ndarray]], np.ndarray]


class TorsoKind(NamedTuple):
    """How a torso is made from its settings. Raises ConfigError where the task does not fit it."""

    build: Callable[[Any, TaskSpec, LayerFactory], Torso]
    in_numpy: Callable[[Any, TaskSpec], NumpyTorso] | None = None  # None: NumPy is no gain


def feed_forward(width: int, features: Callable[[Observation], tf.Tensor]) -> Torso:
    """A torso that remembers nothing, and is the same in training."""
    return Torso(width, lambda observation, state, training: (features(observation), state))


def mlp(settings: MLP, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Dense layers over the flattened observation."""
    widths = [encoding.num_features(task_spec), *settings.hidden_units]
    layers = [
        make.dense(f"hidden_{i}", units, settings.activation, fan_in=fan_in)
        for i, (fan_in, units) in enumerate(zip(widths, settings.hidden_units, strict=False))
    ]

    def features(observation: Observation) -> tf.Tensor:
        hidden = encoding.encode(observation, task_spec)
        for layer in layers:
            hidden = layer(hidden)
        return hidden

    return feed_forward(widths[-1], features)


def mlp_numpy(settings: MLP, task_spec: TaskSpec) -> NumpyTorso:
    """`mlp` on NumPy arrays."""
    activation = _ACTIVATIONS[settings.activation]
    layers = [f"hidden_{i}" for i in range(len(settings.hidden_units))]

    def features(weights: Weights, observation: dict[str, np.ndarray]) -> np.ndarray:
        x = encoding.encode_numpy(observation, task_spec)
        for layer in layers:
            x = x @ weights[f"{layer}/kernel"]
            x += weights[f"{layer}/bias"][..., np.newaxis, :]
            x = activation(x)
        return x

    return features


def nature_cnn(settings: NatureCNN, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Mnih et al. 2015, Methods, 'Model architecture': 32 8×8/4, 64 4×4/2, 64 3×3/1, dense.

    An image whose sides these do not cover gets a margin of zeros, so that every pixel reaches Q; 84 × 84 needs none.
    """
    key, height, width, channels = _image(task_spec)
    if min(height, width) < _FIELD:
        raise ConfigError(
            f"network.kind = 'nature_cnn': images of {task_spec.id} are too small ({height} x {width}, as height and "
            f"width come before channels); at least {_FIELD} x {_FIELD} pixels are needed"
        )
    margins = [(0, 0), _margin(height), _margin(width), (0, 0)]
    height, width = height + sum(margins[1]), width + sum(margins[2])
    convolutions = []
    for i, (filters, size, stride) in enumerate([(32, 8, 4), (64, 4, 2), (64, 3, 1)]):
        convolutions.append(make.conv(f"conv_{i}", filters, size, stride, channels_in=channels))
        height, width, channels = (height - size) // stride + 1, (width - size) // stride + 1, filters
    flatten = make.flatten(height, width, channels)
    dense = make.dense("hidden_0", settings.dense_units, "relu", fan_in=height * width * channels)

    def features(observation: Observation) -> tf.Tensor:
        hidden = encoding.encode_image(observation[key], task_spec.observation[key])
        if np.any(margins):
            hidden = tf.pad(hidden, margins)
        for layer in convolutions:
            hidden = layer(hidden)
        return dense(flatten(hidden))

    return feed_forward(settings.dense_units, features)


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


def _margin(length: int) -> tuple[int, int]:
    """How many zeros go before and after so many pixels, that the convolutions see all of them."""
    missing = (_FIELD - length) % _STRIDE
    return missing // 2, missing - missing // 2


def _image(task_spec: TaskSpec) -> tuple[str, int, int, int]:
    """The key of the one image, its height, width and channels (stacked frames count as channels)."""
    if len(task_spec.observation) != 1 or not encoding.is_image(next(iter(task_spec.observation.values()))):
        seen = {key: spec.shape for key, spec in task_spec.observation.items()}
        raise ConfigError(
            f"network.kind = 'nature_cnn': needs one image [height, width] or [height, width, channels]; "
            f"{task_spec.id} observes {seen}"
        )
    ((key, spec),) = task_spec.observation.items()
    frame = spec.shape[1:] if spec.frame_stack > 1 else spec.shape
    channels = spec.frame_stack * int(np.prod(frame[2:], dtype=int))
    return key, frame[0], frame[1], channels


TORSOS: Registry[TorsoKind] = Registry(
    {MLP: TorsoKind(mlp, mlp_numpy), NatureCNN: TorsoKind(nature_cnn), Linear: TorsoKind(linear, linear_numpy)}
)
