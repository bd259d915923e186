"""`Head`: the interface of heads; `LinearHead`, whose outputs are the Q-values; `HeadKind`: how one is made.

The user's own heads are checked when they are registered, and when they are made.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.config.own_code import is_own, require_function, require_instance, source_of
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.noise import Noise
from tfdqn.networks.own_parts import require_made
from tfdqn.networks.streams import Stream, stream
from tfdqn.types import Rng, Weights


class Head(ABC):
    """Computes outputs, which the loss reads, by a stream from features, and from these Q-values.

    An ensemble's have a leading axis K.
    """

    def __init__(self, stream: Stream):
        self._stream = stream

    def outputs(self, features: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        """Computes what the loss reads (Q-values, logits, quantiles) from features float32[…, B, F]."""
        return self._stream(features, noise)

    @abstractmethod
    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        """Computes Q float32[…, B, A], for acting, evaluation and export, from those outputs."""


class LinearHead(Head):
    """A head whose outputs are one number for each action, the Q-value."""

    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        return outputs


def linear(config: Config, width: int, num_actions: int, make: LayerFactory) -> LinearHead:
    """Makes a head with one number for each action."""
    return LinearHead(stream(config, width, num_actions, make))


# (weights by name, features [B, F], generator for noisy layers or None) → Q float32[B, A]
NumpyHead = Callable[[Weights, np.ndarray, Rng | None], np.ndarray]


class BranchesKind(NamedTuple):
    """How a head is made that has Q-values for each of several action dimensions, Q float32[…, B, D, A]."""

    # (configuration, width F of the features, numbers of actions, layers) → the head
    build: Callable[[Config, int, Sequence[int], LayerFactory], Head]
    in_numpy: Callable[[Config, Sequence[int]], NumpyHead]


class HeadKind(NamedTuple):
    """How a head is made."""

    # (configuration, width F of the features, number of actions A, layers) → the head
    build: Callable[[Config, int, int, LayerFactory], Head]
    in_numpy: Callable[[Config], NumpyHead] | None = None  # None: acting uses TensorFlow
    takes_members: bool = False  # whether features and outputs may have the leading axis of an ensemble
    branches: BranchesKind | None = None  # None: an action must be one number


def check_head_kind(kind: Any, where: str) -> None:
    """Raises OwnCodeError unless this is a `HeadKind` of functions that can be called as it says."""
    require_instance(kind, HeadKind, where)
    require_function(kind.build, f"{where}.build", "config", "width", "num_actions", "make")
    if kind.in_numpy is not None:
        require_function(kind.in_numpy, f"{where}.in_numpy", "config")
    if kind.branches is not None:
        require_instance(kind.branches, BranchesKind, f"{where}.branches")
        require_function(kind.branches.build, f"{where}.branches.build", "config", "width", "num_actions", "make")
        require_function(kind.branches.in_numpy, f"{where}.branches.in_numpy", "config", "num_actions")


def checked_head(head: Any, build: Callable[..., Any]) -> Head:
    """Checks what a head's builder returns. Raises OwnCodeError."""
    if is_own(build):
        source = source_of(build)
        require_made(head, Head, source)
        require_function(head.outputs, f"outputs of {source}", "features", "noise")
        require_function(head.q_values, f"q_values of {source}", "outputs")
    return head
