"""The interfaces of replay: `Sample`, and the protocols of writers and of the tables that store transitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import trajectory

from tfdqn.agents.sequences import Sequences

if TYPE_CHECKING:
    from tfdqn.types import Experience


Examples: TypeAlias = trajectory.Transition | Sequences  # what is learned from, with one leading axis


class Draw(NamedTuple):
    """How N examples were drawn by their priorities."""

    probability: tf.Tensor  # float32[N], P(i) at that time
    keys: tf.Tensor  # int64[N, …], by which `update_priorities` knows them again


class ItemPriorities(NamedTuple):
    """The TD errors of the last updates for N examples, as NumPy arrays."""

    keys: np.ndarray  # int64[N, …], of the draw
    errors: np.ndarray  # float32[N] >= 0, as `PriorityScale` takes them


class Sample(NamedTuple):
    """A nest of tensors with one leading axis N."""

    transition: Examples
    weights: tf.Tensor | None  # importance weights, float32[N]; None: all are 1
    draw: Draw | None = None  # None where sampling is uniform

    @property
    def size(self) -> int:
        """N, which is known when the graph is traced."""
        return int(tf.nest.flatten(self.transition)[0].shape[0])

    def map(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Sample:
        """Applies `function` to every tensor; fields that are None stay None."""
        return tf.nest.map_structure(lambda x: None if x is None else function(x), self)


class Writer(Protocol):
    """Writes the steps of one batch of environments to replay."""

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many transitions it added to replay."""

    def state(self) -> dict[str, np.ndarray]:
        """The windows that are still open."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""


class SampledReplay(Protocol):
    """Replay from the learner's side, in its own process or in others. Counts are in transitions.

    Since sequences overlap, each counts for the steps from its beginning to the beginning of the next one.
    """

    capacity: int
    min_size: int

    @property
    def addresses(self) -> list[str]:
        """Where this process can sample it, "host:port" each; none if it is in the graph."""

    def addresses_at(self, host: str) -> list[str]:
        """Where other processes can, which reach this one's host by that name; none if only this one has it."""

    def sampler(self, num_examples: int) -> Callable[[], Sample]:
        """A function to call inside a `tf.function`; it gives so many transitions, or sequences, at a time."""

    def size(self) -> int:
        """Transitions stored now, as far as is known here. Sampling before `min_size` are there may block."""

    def update_priorities(self, priorities: ItemPriorities) -> None:
        """Sets priorities soon, without waiting for servers. Examples that are no longer stored are skipped."""


class Replay(SampledReplay, Protocol):
    """A table in this process; `capacity` and `min_size` are rounded to whole items."""

    def writer(self, num_envs: int) -> Writer:
        """A writer for `num_envs` environments."""

    def save(self, directory: Path) -> None:
        """Writes the stored transitions into an existing directory. Raises CheckpointError."""

    def restore(self, directory: Path) -> None:
        """Restores what `save` wrote; before `writer` and `sampler`. Raises CheckpointError, ConfigError."""

    def state(self) -> dict[str, np.ndarray]:
        """State that is neither stored nor in a writer: the sampling counter, the block that is being filled."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""

    def close(self) -> None:
        """Frees everything, within seconds. Nothing may be written or sampled afterwards."""
