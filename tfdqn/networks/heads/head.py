"""`Head`: what each head does; `HeadKind`: how one is made."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.noise import Noise
from tfdqn.types import Weights


class Head(ABC):
    """Features → outputs, which the loss reads → Q-values, which act. An ensemble's lead with K."""

    @abstractmethod
    def outputs(self, features: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        """Of features float32[…, B, F], what the loss is computed from: Q itself, logits, quantiles."""

    @abstractmethod
    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        """Q float32[…, B, A] of those outputs: what acts, is evaluated, exported and served."""


# (weights by name, features [B, F], what noisy layers draw from, if they shall) → Q float32[B, A]
NumpyHead = Callable[[Weights, np.ndarray, np.random.Generator | None], np.ndarray]


class BranchesKind(NamedTuple):
    """How a head is made that has Q-values for each of several action dimensions: Q float32[…, B, D, A]."""

    # (configuration, width F of the features, numbers of actions, layers) → the head
    build: Callable[[Config, int, Sequence[int], LayerFactory], Head]
    in_numpy: Callable[[Config, Sequence[int]], NumpyHead]


class HeadKind(NamedTuple):
    """How a head is made."""

    # (configuration, width F of the features, number of actions A, layers) → the head
    build: Callable[[Config, int, int, LayerFactory], Head]
    in_numpy: Callable[[Config], NumpyHead] | None = None  # None: it acts by TensorFlow
    takes_members: bool = False  # features that lead with an ensemble's K, and gives outputs that do
    branches: BranchesKind | None = None  # None: it knows actions of one number alone
