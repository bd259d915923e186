"""`Torso`, `TorsoKind`, and functions that torsos share: layers that may be normalised, and the task's image."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import MLP, DeepNetwork, Linear
from tfdqn.errors import ConfigError
from tfdqn.networks import encoding
from tfdqn.networks.layers.in_numpy import normalize_numpy
from tfdqn.networks.layers.plain import Layer, LayerFactory
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Weights

Observation = dict[str, tf.Tensor]


class Torso(NamedTuple):
    """The first part of a network; an ensemble's features have a leading axis K."""

    width: int  # F, the number of features
    features: Callable[[Observation], tf.Tensor]  # observation → features float32[B, F]


def batch_of(observation: Observation) -> list[int | None]:
    """[B] of an observation; [None] while it is traced for any size."""
    return list(next(iter(observation.values())).shape[:1])


class Hidden(NamedTuple):
    """A network's last hidden layer, after the torso."""

    name: str
    units: int
    activation: str


# (weights by name, observation) → features float32[B, F]
NumpyTorso = Callable[[Weights, dict[str, np.ndarray]], np.ndarray]


class TorsoKind(NamedTuple):
    """How a torso is made from its settings. Raises ConfigError if the task does not fit it."""

    build: Callable[[Any, TaskSpec, LayerFactory], Torso]
    in_numpy: Callable[[Any, TaskSpec], NumpyTorso] | None = None  # None: NumPy would not be faster
    hidden: Callable[[Any], Hidden | None] = lambda settings: None  # the last hidden layer, which follows it, if any


def normalizers(make: LayerFactory, settings: MLP | Linear, task_spec: TaskSpec) -> dict[str, Layer]:
    """Makes a layer for each array of the observation that the settings normalise, by its key."""
    keys = normalized_keys(settings, task_spec)
    return {key: make.running_statistics(key, encoding.size_of(task_spec.observation[key])) for key in keys}


def normalized_keys(settings: MLP | Linear, task_spec: TaskSpec) -> list[str]:
    """The keys of the arrays that the settings normalise. Raises ConfigError if they should, but there are none."""
    if not settings.normalize_observations:
        return []
    keys = [key for key, spec in task_spec.observation.items() if spec.is_of_unknown_scale]
    if not keys:
        raise ConfigError(
            f"network.normalize_observations = true: {task_spec.id} observes no numbers of unknown scale; categories, "
            "bytes, bits and images with known bounds are scaled already"
        )
    return keys


def normalizers_numpy(weights: Weights, keys: Sequence[str]) -> dict[str, Callable[[np.ndarray], np.ndarray]] | None:
    """`normalizers` on NumPy arrays; None if nothing is normalised."""
    return None if not keys else {key: partial(normalize_numpy, weights, f"{key}_statistics") for key in keys}


def dense(make: LayerFactory, settings: DeepNetwork, layer: Hidden, fan_in: int) -> Layer:
    """Makes a hidden layer, with layer normalisation before its activation if the settings say so."""
    if not settings.layer_norm:
        return make.dense(layer.name, layer.units, layer.activation, fan_in=fan_in)
    linear, activate = make.dense(layer.name, layer.units, fan_in=fan_in), normalization(make, layer)
    return lambda inputs: activate(linear(inputs))


def conv(
    make: LayerFactory, settings: DeepNetwork, name: str, filters: int, size: int, stride: int, channels_in: int
) -> Layer:
    """Makes a convolution with ReLU, with layer normalisation of its channels before that if the settings say so."""
    if not settings.layer_norm:
        return make.conv(name, filters, size, stride, channels_in=channels_in)
    linear = make.conv(name, filters, size, stride, None, channels_in=channels_in)
    activate = normalization(make, Hidden(name, filters, "relu"))
    return lambda images: activate(linear(images))


def normalization(make: LayerFactory, layer: Hidden) -> Layer:
    """Makes layer normalisation of a layer's units, followed by its activation."""
    norm, activate = make.layer_norm(f"{layer.name}_norm", layer.units), tf.keras.activations.get(layer.activation)
    return lambda inputs: activate(norm(inputs))


def image_of(task_spec: TaskSpec, kind: str, least: int) -> tuple[str, int, int, int]:
    """The key, height, width and channels of the task's only image; stacked frames count as channels.

    Raises ConfigError if it observes anything else, or the image has fewer than `least` pixels on a side.
    """
    if len(task_spec.observation) != 1 or not encoding.is_image(next(iter(task_spec.observation.values()))):
        seen = {key: spec.shape for key, spec in task_spec.observation.items()}
        raise ConfigError(
            f'network.kind = "{kind}": needs one image [height, width] or [height, width, channels]; '
            f"{task_spec.id} observes {seen}, which network.kind=mlp takes"
        )
    ((key, spec),) = task_spec.observation.items()
    frame = spec.frame_shape
    if min(frame[:2]) < least:
        raise ConfigError(
            f'network.kind = "{kind}": images of {task_spec.id} are too small ({frame[0]} x {frame[1]}, as height and '
            f"width come before channels); at least {least} x {least} pixels are needed"
        )
    channels = spec.frame_stack * int(np.prod(frame[2:], dtype=int))
    return key, frame[0], frame[1], channels
