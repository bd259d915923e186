"""`ReverbReplay`: the table is divided among Reverb servers in this process, its items blocks or frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import reverb

from tfdqn.config import Config
from tfdqn.errors import CheckpointError, ConfigError
from tfdqn.replay.interfaces import ItemPriorities, Sample, Writer
from tfdqn.replay.items.kinds import make_item_kind, table_sizes
from tfdqn.replay.reverb.priority_updates import PriorityUpdates
from tfdqn.replay.reverb.sampling import make_sampler
from tfdqn.replay.reverb.server import ReplayServer, run_at_once, transitions_table
from tfdqn.task_spec import TaskSpec

_SHARD = "shard-{}"  # a server's folder in a checkpoint of several
_CLOSE_SECONDS = 10.0  # beyond a server's own limit
_FLUSH_SECONDS = 10.0


class ReverbReplay:
    """Transitions in whole items on `replay.shards` servers, written and sampled evenly.

    Capacity and minimum size are divided evenly: the one rounded down to whole items on every server, the other up,
    if it fits. A sample takes from the servers in turn. That is uniform over all transitions when the servers
    are full; before, blocks on servers of s and s - 1 blocks differ in their chance by 1 / s, and frames by as
    much as their servers have been filled unequally.
    """

    def __init__(self, config: Config, task_spec: TaskSpec, workspace: Path | None = None):
        self._kind = make_item_kind(config, task_spec)
        self._priorities = config.priorities
        self._updates: PriorityUpdates | None = None  # none were made yet
        shards, max_items, min_items = table_sizes(config, self._kind)
        size = self._kind.transitions_per_item
        self.capacity = shards * max_items * size
        self.min_size = shards * min_items * size
        # Where servers fill unequally, or an item may hold more than it counts for, one would keep samples back beyond
        # `min_size`, and acting waits.
        is_exact = size == self._kind.examples_per_item and (shards == 1 or self._kind.fills_servers_evenly)
        needed_there = min_items if is_exact else 1
        self._sampled = False
        self._servers = [
            ReplayServer(
                lambda: transitions_table(
                    self._kind.signature, max_items, reverb.rate_limiters.MinSize(needed_there), config.priorities
                ),
                workspace,
            )
            for _ in range(shards)
        ]

    @property
    def addresses(self) -> list[str]:
        """ "host:port" of every server, for `make_sampler`."""
        return [server.address for server in self._servers]

    def addresses_at(self, host: str) -> list[str]:
        """The addresses for processes that reach this host by the given name. Servers listen on every interface."""
        return [server.address_at(host) for server in self._servers]

    def writer(self, num_envs: int) -> Writer:
        """A writer for `num_envs` environments."""
        return self._kind.writer([server.client for server in self._servers], num_envs)

    def sampler(self, num_examples: int) -> Callable[[], Sample]:
        """A function to call inside a `tf.function`; it blocks until `min_size` transitions are stored.

        Raises ConfigError if `num_examples` is no multiple of the examples in an item.
        """
        self._sampled = True
        return make_sampler(self.addresses, self._kind, num_examples, priorities=self._priorities)

    def size(self) -> int:
        """Transitions stored now, in whole items."""
        return sum(server.num_items() for server in self._servers) * self._kind.transitions_per_item

    def update_priorities(self, priorities: ItemPriorities) -> None:
        """Sends priorities to the servers in the background. Items that are no longer stored are skipped."""
        if self._updates is None:
            self._updates = PriorityUpdates(self.addresses, self._kind.priority_scale)
        self._updates(priorities)

    def save(self, directory: Path) -> None:
        """Writes what is stored below `directory`. Raises CheckpointError."""
        self._kind.flush()
        if self._updates is not None:
            self._updates.flush(_FLUSH_SECONDS)
        for server, folder in zip(self._servers, self._folders(directory), strict=True):
            try:
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise CheckpointError(f"{folder} can't be made: {error.strerror}") from error
            server.save(folder)

    def restore(self, directory: Path) -> None:
        """Restores what `save` wrote; before `writer` and `sampler`, which hold on to a server.

        Raises CheckpointError, or ConfigError if another replay wrote it.
        """
        if self._sampled:
            raise RuntimeError("restore comes before sampler")
        saved = max(len(list(directory.glob(_SHARD.format("*")))), 1)
        if saved != len(self._servers):
            raise ConfigError(
                f"{directory} was made with replay.shards = {saved}, not {len(self._servers)}, and what servers "
                f"hold can't be divided anew: set replay.shards = {saved} to go on with it"
            )
        for server, folder in zip(self._servers, self._folders(directory), strict=True):
            server.restore(folder)

    def state(self) -> dict[str, np.ndarray]:
        """Finished transitions that are in no item yet, and the largest priority. Reverb's sampling can't be seeded."""
        state = self._kind.state()
        if self._priorities.are_used:
            state["largest_priority"] = np.array(self._kind.priority_scale.largest)
        return state

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""
        self._kind.load_state(arrays)
        if self._priorities.are_used:
            self._kind.priority_scale.raise_to(float(arrays["largest_priority"]))

    def close(self) -> None:
        """Stops all servers together, within seconds; items that are on their way to them are stored first."""
        # A writer waits for what is on its way without a limit when Python destroys it, with no server at the end.
        run_at_once([self._deliver], _CLOSE_SECONDS)
        if self._updates is not None:
            self._updates.close(_CLOSE_SECONDS)
        run_at_once([server.close for server in self._servers], _CLOSE_SECONDS)

    def _deliver(self) -> None:
        with suppress(Exception):  # of a server that has failed
            self._kind.flush()

    def _folders(self, directory: Path) -> list[Path]:
        """One folder per server."""
        if len(self._servers) == 1:
            return [directory]
        return [directory / _SHARD.format(shard) for shard in range(len(self._servers))]
