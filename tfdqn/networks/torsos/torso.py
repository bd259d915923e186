"""`Torso`, `TorsoKind`, and functions that torsos share: layers that may be normalised, and the task's image.

The user's own torsos are checked when they are registered, when they are made, and when their features are traced.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import MLP, ConvolutionalNetwork, DeepNetwork, Linear, Network
from tfdqn.config.fields import kinds
from tfdqn.config.own_code import is_own, require_function, require_instance, source_of
from tfdqn.config.wording import either
from tfdqn.errors import OwnCodeError
from tfdqn.networks import encoding
from tfdqn.networks.layers.in_numpy import normalize_numpy
from tfdqn.networks.layers.plain import Layer, LayerFactory
from tfdqn.networks.own_parts import fits, misfit, require_made
from tfdqn.networks.task_fit import image_of as image_of  # for torsos of your own
from tfdqn.networks.task_fit import normalized_keys
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


def check_torso_kind(kind: Any, where: str) -> None:
    """Raises OwnCodeError unless this is a `TorsoKind` of functions that can be called as it says."""
    require_instance(kind, TorsoKind, where)
    require_function(kind.build, f"{where}.build", "settings", "task_spec", "make")
    require_function(kind.hidden, f"{where}.hidden", "settings")
    if kind.in_numpy is not None:
        require_function(kind.in_numpy, f"{where}.in_numpy", "settings", "task_spec")


def checked_torso(torso: Any, build: Callable[..., Any], make: LayerFactory, gives_pieces: bool) -> Torso:
    """Checks what a torso's builder returns. The user's own torso checks its features whenever it is traced.

    With `gives_pieces`, the layers' outputs are in pieces on several devices, which aren't checked. Raises
    OwnCodeError.
    """
    if not is_own(build):
        return torso
    source = source_of(build)
    require_made(torso, Torso, source)
    if isinstance(torso.width, bool) or not isinstance(torso.width, int) or torso.width < 1:
        raise OwnCodeError(f"{source} returned Torso.width = {torso.width!r}; expected a whole number of at least 1")
    require_function(torso.features, f"Torso.features of {source}", "observation")
    return torso if gives_pieces else torso._replace(features=partial(_checked_features, torso, make))


def checked_hidden(hidden: Any, function: Callable[..., Any]) -> Hidden | None:
    """Checks what the user's own function has returned as a network's last hidden layer. Raises OwnCodeError."""
    if hidden is None or not is_own(function):
        return hidden
    source = source_of(function)
    require_made(hidden, Hidden, source)
    name, units, activation = hidden
    if not isinstance(name, str) or not name:
        raise OwnCodeError(f"{source} returned Hidden.name = {name!r}; expected text")
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise OwnCodeError(f"{source} returned Hidden.units = {units!r}; expected a whole number of at least 1")
    try:
        tf.keras.activations.get(activation)
    except (TypeError, ValueError):
        raise OwnCodeError(
            f'{source} returned Hidden.activation = {activation!r}; expected the name of one, such as "relu"'
        ) from None
    return hidden


def check_convolutions(settings: Network, make: LayerFactory, own: str) -> None:
    """Raises OwnCodeError if a network has convolutions, and its settings don't say so by their base class.

    `own` names the user's parts that have made its layers.
    """
    if not make.convolutions or isinstance(settings, ConvolutionalNetwork):
        return
    what = f'{own}: the layer "{make.convolutions[0]}" is a convolution'
    base = f"tfdqn.config.{ConvolutionalNetwork.__name__}"
    if is_own(type(settings)):
        raise OwnCodeError(f"{what}, for which the settings {source_of(type(settings))} must be derived from {base}")
    suited = {kind: each for kind, each in kinds(Network).items() if issubclass(each, ConvolutionalNetwork)}
    choice = either([kind for kind, each in suited.items() if not is_own(each)])
    raise OwnCodeError(
        f'{what}, for which network.kind = "{settings.kind}" is not made: choose {choice}, or '
        f"a network of your own whose settings are derived from {base}"
    )


def _checked_features(torso: Torso, make: LayerFactory, observation: Observation) -> tf.Tensor:
    features = torso.features(observation)
    shape = [*batch_of(observation), torso.width]
    shapes = [[*make.leading, *shape], shape]  # all members share features that no layer has computed
    if not any(fits(features, each, make.compute_dtype) for each in shapes):
        raise misfit(f"{source_of(torso.features)} returned", features, shapes[0], f": {torso.width} is Torso.width")
    return features
