"""Torsos: one short function per paper, from a `LayerFactory` to the function observation → Q float32[B, A]."""

import numpy as np
import tensorflow as tf

from tfdqn import config
from tfdqn.errors import ConfigError
from tfdqn.networks import encoding, feature_maps
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.q_network import Observation, Torso
from tfdqn.task_spec import TaskSpec

# Of the Nature network's convolutions together: how many pixels an output sees, and how far apart two outputs are.
_FIELD, _STRIDE = 36, 8


def mlp(settings: config.MLP, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Dense layers over the flattened observation."""
    widths = [encoding.num_features(task_spec), *settings.hidden_units]
    layers = [
        make.dense(f"hidden_{i}", units, settings.activation, fan_in=fan_in)
        for i, (fan_in, units) in enumerate(zip(widths, settings.hidden_units, strict=False))
    ]
    head = make.head("q", task_spec.num_actions[0], fan_in=widths[-1])

    def apply(observation: Observation) -> tf.Tensor:
        hidden = encoding.encode(observation, task_spec)
        for layer in layers:
            hidden = layer(hidden)
        return head(hidden)

    return apply


def nature_cnn(settings: config.NatureCNN, task_spec: TaskSpec, make: LayerFactory) -> Torso:
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
    head = make.head("q", task_spec.num_actions[0], fan_in=settings.dense_units)

    def apply(observation: Observation) -> tf.Tensor:
        hidden = encoding.encode_image(observation[key], task_spec.observation[key])
        if np.any(margins):
            hidden = tf.pad(hidden, margins)
        for layer in convolutions:
            hidden = layer(hidden)
        return head(dense(flatten(hidden)))

    return apply


def linear(settings: config.Linear, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Q(s, a) = θ_aᵀ φ(s), with φ the identity or all monomials up to a degree."""
    inputs = encoding.num_features(task_spec)
    if settings.features == "identity":
        theta = make.linear("theta", task_spec.num_actions[0], fan_in=inputs)
        return lambda observation: theta(encoding.encode(observation, task_spec))
    factors = feature_maps.monomials(inputs, settings.degree)
    theta = make.linear("theta", task_spec.num_actions[0], fan_in=len(factors))
    return lambda observation: theta(
        feature_maps.polynomial(encoding.encode(observation, task_spec), factors)
    )


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
