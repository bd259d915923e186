"""Checks of the user's own torsos: of what is registered, what its builder makes, and the features, when traced."""

from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from tfdqn.config import ConvolutionalNetwork, Network
from tfdqn.config.fields import kinds
from tfdqn.config.own_code import is_own, require_function, require_instance, source_of
from tfdqn.config.wording import either
from tfdqn.errors import OwnCodeError
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.own_parts import fits, misfit, require_made
from tfdqn.networks.torsos.torso import Observation, Torso, TorsoKind, batch_of


def check_torso_kind(kind: Any, where: str) -> None:
    """Raises OwnCodeError unless this is a `TorsoKind` of functions that can be called as it says."""
    require_instance(kind, TorsoKind, where)
    require_function(kind.build, f"{where}.build", "settings", "task_spec", "make")
    require_function(kind.hidden, f"{where}.hidden", "settings")
    if kind.in_numpy is not None:
        require_function(kind.in_numpy, f"{where}.in_numpy", "settings", "task_spec")


def checked_torso(torso: Any, build: Callable[..., Any], make: LayerFactory, gives_pieces: bool) -> Torso:
    """Checks what a torso's builder returns. The user's own torso checks its features whenever it is traced.

    Args:
      torso: what `build` has returned.
      build: the builder.
      make: the factory that it was given.
      gives_pieces: whether the layers' outputs are in pieces on several devices, which aren't checked.

    Raises OwnCodeError.
    """
    if not is_own(build):
        return torso
    source = source_of(build)
    require_made(torso, Torso, source)
    if isinstance(torso.width, bool) or not isinstance(torso.width, int) or torso.width < 1:
        raise OwnCodeError(f"{source} returned Torso.width = {torso.width!r}; expected a whole number of at least 1")
    require_function(torso.features, f"Torso.features of {source}", "observation")
    return torso if gives_pieces else torso._replace(features=partial(_checked_features, torso, make))


def check_convolutions(settings: Network, make: LayerFactory, own: str) -> None:
    """Raises OwnCodeError if a network has convolutions, and its settings don't say so by their base class.

    Args:
      settings: of the network.
      make: the factory that has made its layers.
      own: the sources of the user's parts that have made them.
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
        f'{what}, for which network.kind = "{type(settings).__struct_config__.tag}" is not made: choose {choice}, or '
        f"a network of your own whose settings are derived from {base}"
    )


def _checked_features(torso: Torso, make: LayerFactory, observation: Observation) -> tf.Tensor:
    features = torso.features(observation)
    shape = [*batch_of(observation), torso.width]
    shapes = [[*make.leading, *shape], shape]  # all members share features that no layer has computed
    if not any(fits(features, each, make.compute_dtype) for each in shapes):
        raise misfit(f"{source_of(torso.features)} returned", features, shapes[0], f": {torso.width} is Torso.width")
    return features
