"""The interfaces of replay: `Sample`, and the protocols of writers and of the tables that store transitions."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import trajectory

from tfdqn.agents.loss import Sequences
from tfdqn.types import Experience

Examples: TypeAlias = trajectory.Transition | Sequences  # a batch to learn from, with one leading axis


class Draw(NamedTuple):
    """The probabilities and keys of N examples that were drawn by priority."""

    probability: tf.Tensor  # float32[N], P(i) when it was drawn
    keys: tf.Tensor  # int64[N, …], which identify the examples for `update_priorities`


class ItemPriorities(NamedTuple):
    """TD errors of N examples, from which their new priorities are computed."""

    keys: np.ndarray  # int64[N, …], from the `Draw`
    errors: np.ndarray  # float32[N] >= 0, as for `PriorityScale`


class Sample(NamedTuple):
    """A batch of N examples drawn from replay."""

    transition: Examples
    weights: tf.Tensor | None  # importance weights, float32[N]; None: all are 1
    draw: Draw | None = None  # None where sampling is uniform

    @property
    def size(self) -> int:
        """N, which must be known when the graph is traced."""
        return int(tf.nest.flatten(self.transition)[0].shape[0])

    def map(self, function: Callable[[tf.Tensor], tf.Tensor]) -> "Sample":
        """Applies `function` to every tensor; fields that are None stay None."""
        return tf.nest.map_structure(lambda x: None if x is None else function(x), self)

    def at(self, index: int | slice | tf.Tensor) -> "Sample":
        """Element `index` of the leading axis; several by a slice."""
        return self.map(lambda x: x[index])


Sampler: TypeAlias = Callable[[], Sample]  # draws a sample; to be called inside a `tf.function`


class Writer(Protocol):
    """Writes the steps of one batch of environments to replay."""

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many transitions it added to replay."""

    def state(self) -> dict[str, np.ndarray]:
        """The unfinished transitions."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""


class SampleSource(Protocol):
    """What an updater learns from."""

    def sampler(self, num_examples: int) -> Sampler:
        """Returns a function that draws `num_examples` transitions or sequences."""


class SampledReplay(SampleSource, Protocol):
    """Replay as the learner sees it, in this process or in others. Counts are in transitions.

    Sequences overlap, so each counts for the steps from its start to the start of the next one.
    """

    capacity: int
    min_size: int

    @property
    def addresses(self) -> list[str]:
        """The servers' addresses for this process, "host:port" each; empty if there are none."""

    def addresses_at(self, host: str) -> list[str]:
        """The servers' addresses for processes that reach this host by the name `host`; empty if none can sample."""

    def flush(self) -> None:
        """Lets samplers see all that this process's writers have written; to be called before each call that samples.

        Does nothing where they see it anyway, or where whole blocks are written.
        """

    def size(self) -> int:
        """The number of transitions known to be stored. Sampling may block until there are `min_size`."""

    def update_priorities(self, priorities: ItemPriorities) -> None:
        """Sets priorities, perhaps in the background. Skips examples that are no longer stored."""


class Replay(SampledReplay, Protocol):
    """A table in this process; `capacity` and `min_size` are rounded to whole items."""

    def writer(self, num_envs: int) -> Writer:
        """A writer for `num_envs` environments."""

    def save(self, directory: Path) -> None:
        """Writes the stored transitions into an existing directory. Raises CheckpointError."""

    def restore(self, directory: Path) -> None:
        """Restores what `save` wrote; to be called before `writer` and `sampler`.

        Raises CheckpointError if the checkpoint is missing or damaged, ConfigError for one of a replay that was
        configured differently.
        """

    def state(self) -> dict[str, np.ndarray]:
        """State that neither `save` nor a writer's `state` contains, such as the number of draws or a partial block."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""

    def close(self) -> None:
        """Frees all resources, within seconds. Nothing may be written or sampled afterwards."""
