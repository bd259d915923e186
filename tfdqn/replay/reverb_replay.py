"""`ReverbReplay`: the table is a Reverb server in this process, its items blocks or frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import trajectory

from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.replay.block_items import BlockItems
from tfdqn.replay.dataset import item_sampler
from tfdqn.replay.frame_items import FrameItems
from tfdqn.replay.items import Sample, Writer
from tfdqn.replay.server import ReplayServer
from tfdqn.replay.tables import transitions_table
from tfdqn.task_spec import TaskSpec


class ItemKind(Protocol):
    """What an item is: its columns, how it is written and what it decodes to."""

    signature: dict[str, tf.TensorSpec]
    transitions_per_item: int

    def writer(self, client: reverb.Client, num_envs: int) -> Writer:
        """Writes items through `client`."""

    def decode(self, items: dict[str, tf.Tensor]) -> trajectory.Transition:
        """N items, stacked → N · transitions_per_item transitions; in the graph."""

    def flush(self) -> None:
        """Returns when everything finished is in the table."""

    def state(self) -> dict[str, np.ndarray]:
        """Finished transitions that are in no item yet."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Puts back what `state` gave."""


class ReverbReplay:
    """Transitions in whole items: the capacity is rounded down to them, the minimum size up, if it fits."""

    def __init__(self, config: Config, task_spec: TaskSpec, workspace: Path | None = None):
        kinds: dict[str, type[BlockItems] | type[FrameItems]] = {"block": BlockItems, "frames": FrameItems}
        self._kind: ItemKind = kinds[config.replay.item](config, task_spec)
        size = self._kind.transitions_per_item
        max_items = config.replay.capacity // size
        if not max_items:
            raise ConfigError(f"replay.capacity {config.replay.capacity} is less than one block of {size}")
        min_items = min(-(-config.replay.min_size // size), max_items)
        self.capacity = max_items * size
        self.min_size = min_items * size
        self._sampled = False
        self._server = ReplayServer(
            lambda: transitions_table(self._kind.signature, max_items, min_items), workspace
        )

    @property
    def addresses(self) -> list[str]:
        """ "host:port" of every server."""
        return [self._server.address]

    def writer(self, num_envs: int) -> Writer:
        """A writer for `num_envs` environments."""
        return self._kind.writer(self._server.client, num_envs)

    def sampler(self, num_transitions: int) -> Callable[[], Sample]:
        """A function to call inside a `tf.function`; it blocks until `min_size` transitions are stored.

        Raises ConfigError where `num_transitions` is no multiple of the transitions in an item.
        """
        num_items, rest = divmod(num_transitions, self._kind.transitions_per_item)
        if rest:
            size = self._kind.transitions_per_item
            raise ConfigError(f"replay.block_size {size} doesn't divide a batch of {num_transitions}")
        self._sampled = True
        next_items = item_sampler(self._server.address, self._kind.signature, num_items)
        return lambda: Sample(self._kind.decode(next_items()), None, None)

    def size(self) -> int:
        """Transitions stored now, in whole items."""
        return self._server.num_items() * self._kind.transitions_per_item

    def save(self, directory: Path) -> None:
        """Writes what is stored to `directory`/reverb. Raises CheckpointError."""
        self._kind.flush()
        self._server.save(directory)

    def restore(self, directory: Path) -> None:
        """Puts back what `save` wrote; before `writer` and `sampler`, which hold on to a server."""
        if self._sampled:
            raise RuntimeError("restore comes before sampler")
        self._server.restore(directory)

    def state(self) -> dict[str, np.ndarray]:
        """Finished transitions that are in no item yet. Reverb's own sampling can't be seeded."""
        return self._kind.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Puts back what `state` gave."""
        self._kind.load_state(arrays)

    def close(self) -> None:
        """Stops the server, within seconds."""
        self._server.close()
