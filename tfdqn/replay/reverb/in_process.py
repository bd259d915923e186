"""`ReverbReplay`: replay on one or more Reverb servers in this process."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import reverb

from tfdqn.config import Config
from tfdqn.errors import CheckpointError, ConfigError
from tfdqn.replay.interfaces import ItemPriorities, Sampler, Writer
from tfdqn.replay.items.kinds import make_item_kind, table_sizes
from tfdqn.replay.reverb.priority_updates import PriorityUpdates
from tfdqn.replay.reverb.sampling import ReverbSource
from tfdqn.replay.reverb.server import ReplayServer, transitions_table
from tfdqn.system.concurrent_calls import run_at_once
from tfdqn.task_spec import TaskSpec

_SHARD = "shard-{}"  # a server's folder in a checkpoint, if there are several
_CLOSE_SECONDS = 10.0  # longer than a server's own limit
_FLUSH_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 60.0  # between items that come while acting goes on, even if a checkpoint interrupts it
_POLL_SECONDS = 0.1


class ReverbReplay:
    """Replay on `replay.shards` servers, each with an equal part of the capacity and of the minimum size.

    On every server the capacity is rounded down to whole items, and the minimum size up, if it fits. A sample is drawn
    from the servers in turn. That is uniform over all transitions once the servers are full. Before, the probabilities
    of blocks on servers of s and s - 1 blocks differ by a factor of 1 - 1 / s, and those of frames by as much as their
    servers' sizes.
    """

    def __init__(self, config: Config, task_spec: TaskSpec, workspace: Path | None = None):
        self._kind = make_item_kind(config, task_spec)
        self._priorities, self._ensemble = config.priorities, config.ensemble
        self._have_items = not config.ensemble.in_processes  # all servers; those of members may fill unequally
        self._updates: PriorityUpdates | None = None  # until the first update
        shards, max_items, min_items = table_sizes(config, self._kind)
        size = self._kind.transitions_per_item
        self.capacity = shards * max_items * size
        self.min_size = shards * min_items * size
        # If the servers fill unequally, or items may hold more steps than they count for, a server could still have
        # fewer than `min_items` at `min_size` transitions: samplers would wait for it while actors wait for an update.
        is_exact = size == self._kind.examples_per_item and (shards == 1 or self._kind.fills_servers_evenly)
        items_needed = min_items if is_exact else 1
        self._sampled = False
        self._delivered = False  # whether `flush` has delivered what was written before the first call that samples
        self._servers = [
            ReplayServer(
                lambda: transitions_table(
                    self._kind.signature, max_items, reverb.rate_limiters.MinSize(items_needed), config.priorities
                ),
                workspace,
            )
            for _ in range(shards)
        ]

    @property
    def addresses(self) -> list[str]:
        """The servers' addresses, "host:port" each, for processes on this host."""
        return [server.address for server in self._servers]

    def addresses_at(self, host: str) -> list[str]:
        """The servers' addresses for processes that reach this host by the name `host`; all interfaces are served."""
        return [server.address_at(host) for server in self._servers]

    def writer(self, num_envs: int) -> Writer:
        return self._kind.writer([server.client for server in self._servers], num_envs)

    def sampler(self, num_examples: int) -> Sampler:
        """Returns a function that draws a sample, once there are `min_size` transitions.

        Raises ConfigError if `num_examples` isn't a multiple of the number of examples in an item.
        """
        self._sampled = True
        return ReverbSource(self.addresses, self._kind, self._priorities).sampler(num_examples)

    def flush(self) -> None:
        """At first, delivers all complete items: a restored table may reach its minimum size by the newest of them.

        Then waits until every member of an ensemble in processes has something to learn from. Raises ConfigError if a
        member has nothing and no more comes: acting may be waiting for the updates, which would wait for that member.
        """
        if not self._delivered:
            self._kind.flush()
            self._delivered = True
        stored, since_seconds = -1, time.monotonic()
        while not self._have_items:
            counts = [server.num_items() for server in self._servers]
            self._have_items = all(counts)
            if sum(counts) > stored:
                stored, since_seconds = sum(counts), time.monotonic()
            elif time.monotonic() - since_seconds > _LONGEST_PAUSE_SECONDS:
                raise ConfigError(
                    f'ensemble.data = "{self._ensemble.data}": member {counts.index(0)} of {len(counts)} has nothing '
                    f"to learn from among the first {stored * self._kind.transitions_per_item:,} transitions of all: "
                    "raise replay.min_size, or give it a part of the data that is visited"
                )
            else:
                time.sleep(_POLL_SECONDS)

    def size(self) -> int:
        """The number of transitions stored now, in whole items."""
        return sum(server.num_items() for server in self._servers) * self._kind.transitions_per_item

    def update_priorities(self, priorities: ItemPriorities) -> None:
        if self._updates is None:
            self._updates = PriorityUpdates(self.addresses, self._kind.priority_scale)
        self._updates(priorities)

    def save(self, directory: Path) -> None:
        """Writes a checkpoint of each server below `directory`. Raises CheckpointError."""
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
        """Restores what `save` wrote, as `Replay.restore`; `writer` and `sampler` connect to a server."""
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
        """Transitions that are in no item yet, and the largest priority. Reverb's sampling has no state to save."""
        return self._kind.state() | (self._kind.priority_scale.state() if self._priorities.are_used else {})

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._kind.load_state(arrays)
        if self._priorities.are_used:
            self._kind.priority_scale.load_state(arrays)

    def close(self) -> None:
        """Stops all servers at the same time, within seconds, after pending items have arrived."""
        # When Python destroys a writer, it waits for its pending items, forever if the server is gone by then.
        run_at_once([self._deliver], _CLOSE_SECONDS)
        if self._updates is not None:
            self._updates.close(_CLOSE_SECONDS)
        run_at_once([server.close for server in self._servers], _CLOSE_SECONDS)

    def _deliver(self) -> None:
        with suppress(Exception):  # a server may have failed
            self._kind.flush()

    def _folders(self, directory: Path) -> list[Path]:
        """The checkpoint's folder for each server."""
        if len(self._servers) == 1:
            return [directory]
        return [directory / _SHARD.format(shard) for shard in range(len(self._servers))]
