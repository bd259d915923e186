"""Torsos: one short function per paper, from observation to features, in TensorFlow and, where it pays, in NumPy.

In TensorFlow each is written once over a `LayerFactory`; in NumPy small dense ones cost a tenth of a `tf.function`. A
torso ends before its paper's last hidden layer, which `streams.py` makes: once, or twice for a dueling network.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import MLP, DeepNetwork, Linear, NatureCNN, SmallCNN
from tfdqn.errors import ConfigError
from tfdqn.networks import encoding
from tfdqn.networks.layers.in_numpy import dense_numpy
from tfdqn.networks.layers.plain import Layer, LayerFactory
from tfdqn.networks.noise import Noise
from tfdqn.networks.registry import Registry
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Weights

Observation = dict[str, tf.Tensor]
State = Any  # what a recurrent network remembers, a nest of tensors [B, …]; () of one that remembers nothing

# Of the Nature network's convolutions together: how many pixels an output sees, and how far apart two outputs are.
_FIELD, _STRIDE = 36, 8


@dataclass(frozen=True)
class Torso:
    """A network without its end; an ensemble's features lead with K."""

    width: int  # F, the number of features
    features: Callable[[Observation, State, Noise | None], tuple[tf.Tensor, State]]  # of noise, last: [B, F]


class Hidden(NamedTuple):
    """A network's last hidden layer, after the torso."""

    name: str
    units: int
    activation: str


# (weights by name, observation) → features float32[B, F]
NumpyTorso = Callable[[Weights, dict[str, np.ndarray]], np.ndarray]


class TorsoKind(NamedTuple):
    """How a torso is made from its settings. Raises ConfigError where the task does not fit it."""

    build: Callable[[Any, TaskSpec, LayerFactory], Torso]
    in_numpy: Callable[[Any, TaskSpec], NumpyTorso] | None = None  # None: NumPy is no gain
    hidden: Callable[[Any], Hidden | None] = lambda settings: None  # what follows it; none: the output does


def feed_forward(width: int, features: Callable[[Observation], tf.Tensor]) -> Torso:
    """A torso that remembers nothing, and has no noise."""
    return Torso(width, lambda observation, state, noise: (features(observation), state))


def dense(make: LayerFactory, settings: DeepNetwork, layer: Hidden, fan_in: int) -> Layer:
    """A hidden layer, normalised before its activation where the settings say so."""
    if not settings.layer_norm:
        return make.dense(layer.name, layer.units, layer.activation, fan_in=fan_in)
    linear, activate = make.dense(layer.name, layer.units, fan_in=fan_in), normalization(make, layer)
    return lambda inputs: activate(linear(inputs))


def conv(
    make: LayerFactory, settings: DeepNetwork, name: str, filters: int, size: int, stride: int, channels_in: int
) -> Layer:
    """A convolution with ReLU, its channels normalised before that where the settings say so."""
    if not settings.layer_norm:
        return make.conv(name, filters, size, stride, channels_in=channels_in)
    linear = make.conv(name, filters, size, stride, None, channels_in=channels_in)
    activate = normalization(make, Hidden(name, filters, "relu"))
    return lambda images: activate(linear(images))


def normalization(make: LayerFactory, layer: Hidden) -> Layer:
    """Layer normalisation of a layer's units, and then its activation."""
    norm, activate = make.layer_norm(f"{layer.name}_norm", layer.units), tf.keras.activations.get(layer.activation)
    return lambda inputs: activate(norm(inputs))


def mlp(settings: MLP, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Dense layers over the flattened observation: all but the last hidden one."""
    widths = [encoding.num_features(task_spec), *settings.hidden_units[:-1]]
    layers = [
        dense(make, settings, hidden, fan_in)
        for fan_in, hidden in zip(widths, _hidden_layers(settings)[:-1], strict=False)
    ]

    def features(observation: Observation) -> tf.Tensor:
        hidden = encoding.encode(observation, task_spec)
        for layer in layers:
            hidden = layer(hidden)
        return hidden

    return feed_forward(widths[-1], features)


def mlp_numpy(settings: MLP, task_spec: TaskSpec) -> NumpyTorso:
    """`mlp` on NumPy arrays."""
    layers = _hidden_layers(settings)[:-1]

    def features(weights: Weights, observation: dict[str, np.ndarray]) -> np.ndarray:
        x = encoding.encode_numpy(observation, task_spec)
        for layer in layers:
            x = dense_numpy(weights, layer.name, x, layer.activation)
        return x

    return features


def _hidden_layers(settings: MLP) -> list[Hidden]:
    return [Hidden(f"hidden_{i}", units, settings.activation) for i, units in enumerate(settings.hidden_units)]


def nature_cnn(settings: NatureCNN, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Mnih et al. 2015, Methods, 'Model architecture': 32 8×8/4, 64 4×4/2, 64 3×3/1, then a dense layer.

    An image whose sides these do not cover gets a margin of zeros, so that every pixel reaches Q; 84 × 84 needs none.
    """
    key, height, width, channels = _image(task_spec, "nature_cnn", least=_FIELD)
    margins = [(0, 0), _margin(height), _margin(width), (0, 0)]
    height, width = height + sum(margins[1]), width + sum(margins[2])
    convolutions = []
    for i, (filters, size, stride) in enumerate([(32, 8, 4), (64, 4, 2), (64, 3, 1)]):
        convolutions.append(conv(make, settings, f"conv_{i}", filters, size, stride, channels))
        height, width, channels = (height - size) // stride + 1, (width - size) // stride + 1, filters
    flatten = make.flatten(height, width, channels)

    def features(observation: Observation) -> tf.Tensor:
        hidden = encoding.encode_image(observation[key], task_spec.observation[key])
        if np.any(margins):
            hidden = tf.pad(hidden, margins)
        for layer in convolutions:
            hidden = layer(hidden)
        return flatten(hidden)

    return feed_forward(height * width * channels, features)


def small_cnn(settings: SmallCNN, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Young and Tian 2019, section 3: 16 filters of 3×3, then a dense layer."""
    key, height, width, channels = _image(task_spec, "small_cnn", least=3)
    layer = conv(make, settings, "conv_0", 16, 3, 1, channels)
    height, width = height - 2, width - 2
    flatten = make.flatten(height, width, 16)

    def features(observation: Observation) -> tf.Tensor:
        return flatten(layer(encoding.encode_image(observation[key], task_spec.observation[key])))

    return feed_forward(height * width * 16, features)


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


def _image(task_spec: TaskSpec, kind: str, least: int) -> tuple[str, int, int, int]:
    """The key of the one image, its height, width and channels (stacked frames count as channels)."""
    if len(task_spec.observation) != 1 or not encoding.is_image(next(iter(task_spec.observation.values()))):
        seen = {key: spec.shape for key, spec in task_spec.observation.items()}
        raise ConfigError(
            f"network.kind = '{kind}': needs one image [height, width] or [height, width, channels]; "
            f"{task_spec.id} observes {seen}"
        )
    ((key, spec),) = task_spec.observation.items()
    frame = spec.shape[1:] if spec.frame_stack > 1 else spec.shape
    if min(frame[:2]) < least:
        raise ConfigError(
            f"network.kind = '{kind}': images of {task_spec.id} are too small ({frame[0]} x {frame[1]}, as height and "
            f"width come before channels); at least {least} x {least} pixels are needed"
        )
    channels = spec.frame_stack * int(np.prod(frame[2:], dtype=int))
    return key, frame[0], frame[1], channels


TORSOS: Registry[TorsoKind] = Registry(
    {
        MLP: TorsoKind(mlp, mlp_numpy, lambda settings: next(reversed(_hidden_layers(settings)), None)),
        NatureCNN: TorsoKind(nature_cnn, hidden=lambda settings: Hidden("hidden_0", settings.dense_units, "relu")),
        SmallCNN: TorsoKind(small_cnn, hidden=lambda settings: Hidden("hidden_0", settings.dense_units, "relu")),
        Linear: TorsoKind(linear, linear_numpy),
    }
)
