"""`Shards`: asks the replay servers in other processes for counts. `DistributedReplayRatio`: the replay ratio by these.

The servers count inserted and sampled items, and keep these counts in their checkpoints. So the ratio survives restarts
of the learner, the actors and the servers. Samples that a learner has fetched ahead count as sampled.
"""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import reverb
from reverb.errors import ReverbError

from tfdqn.config import Config
from tfdqn.replay.items.kinds import ItemKind, table_sizes
from tfdqn.replay.reverb.server import TABLE
from tfdqn.system.concurrent_calls import run_at_once
from tfdqn.system.peer_connections import ConnectionGuard

# One call is due, actors act on during it, and a third covers the time until the servers are polled again.
_CALLS_AHEAD = 3
_REPLY_SECONDS = 2  # Reverb takes whole seconds
_POLL_SECONDS = 3.0 * _REPLY_SECONDS  # longer, since another thread may be asking already


class TableCounts(NamedTuple):
    """A server's counts since its table was created, and the table's current size, in items."""

    inserted: int = 0
    sampled: int = 0
    stored: int = 0


class TableLimits(NamedTuple):
    """What a server's rate limiter allows: inserts · `samples_per_insert` - samples <= `most_ahead`, in items."""

    samples_per_insert: float
    most_ahead: float


class DistributedReplayRatio:
    """The replay ratio by the servers' counts, which are in items.

    updates due = (transitions inserted - min_size) / env_steps_per_update - updates sampled
    """

    def __init__(self, config: Config, kind: ItemKind):
        self._learner = config.learner
        sizes = table_sizes(config, kind)
        self._servers = sizes.servers
        self._transitions_per_item, self._examples_per_item = kind.transitions_per_item, kind.examples_per_item
        self._copies = kind.copies
        self._is_even = sizes.servers == 1 or kind.fills_servers_evenly
        self.min_size = sizes.servers * sizes.min_items * kind.transitions_per_item
        self.capacity = sizes.servers * sizes.max_items * kind.transitions_per_item
        # Members of an ensemble in processes each sample a whole batch from a server of their own.
        readers = sizes.servers if config.ensemble.in_processes else 1
        self._examples_per_update = config.learner.batch_size * readers

    def limits(self) -> TableLimits | None:
        """The limits of each server's table.

        None if the servers fill unequally, since one could then hold the actors back forever. Actors then check
        `is_ahead` instead.
        """
        if not self._is_even:
            return None
        settings, examples = self._learner, self._examples_per_item
        samples_per_insert = settings.batch_size / settings.env_steps_per_update * self._transitions_per_item / examples
        samples_per_call = settings.updates_per_call * settings.batch_size / (self._servers * examples)
        while_filling = self.min_size / (self._servers * self._transitions_per_item) * samples_per_insert
        # Inserts are counted in whole items: without room for two of them a call might never be due.
        of_two_inserts = 2 * max(samples_per_insert, 1.0)
        return TableLimits(samples_per_insert, while_filling + _CALLS_AHEAD * samples_per_call + of_two_inserts)

    def updates_due(self, counted: Sequence[TableCounts]) -> int:
        """The updates that are due and for which nothing has been sampled; negative before `min_size` is reached."""
        if self._is_even:
            # The counts differ by at most one item, unless a server has lost its own: then the others count.
            return max(self._due(len(counted) * each.inserted, len(counted) * each.sampled) for each in counted)
        return self._due(sum(each.inserted for each in counted), sum(each.sampled for each in counted))

    def updates_due_unsampled(self, counted: Sequence[TableCounts]) -> int:
        """The updates that would be due if nothing had been sampled; negative until `min_size` is first reached."""
        return self.updates_due([each._replace(sampled=0) for each in counted])

    def updates_sampled(self, items: int) -> float:
        """The number of updates that `items` samples, from all servers together, are enough for."""
        return items * self._examples_per_item / self._examples_per_update

    def is_ahead(self, counted: Sequence[TableCounts]) -> bool:
        """Whether acting should wait for learning.

        It should not while a server has nothing to sample: learning waits for that.
        """
        is_due = self.updates_due(counted) >= _CALLS_AHEAD * self._learner.updates_per_call
        return is_due and all(each.stored for each in counted)

    def transitions(self, items: int) -> int:
        """The number of distinct transitions in `items` items of all servers."""
        return int(self._transitions(items))

    def _due(self, inserted: int, sampled: int) -> int:
        """The updates due by the inserted and sampled items of all servers together."""
        earned = (self._transitions(inserted) - self.min_size) / self._learner.env_steps_per_update
        return int(earned - self.updates_sampled(sampled))

    def _transitions(self, items: int) -> float:
        return items * self._transitions_per_item / self._copies


class Shard:
    """A client of one server, which may stop and restart at any time. Thread-safe."""

    def __init__(self, index: int, address: str):
        self.name = f"replay server {index} at {address}"
        self.client = reverb.Client(address)
        self.counted = TableCounts()  # the last answer
        self.inserted = self.sampled = 0  # totals that never decrease, even if the server restarts with lower counts
        self.answers = False  # whether it answered the last time it was asked
        self.blocks_inserts = False  # whether its table's rate limiter did so then
        self._heard_seconds = time.monotonic()
        self._guard = ConnectionGuard(address)
        self._asking = threading.Lock()  # an answer that overtook another would be counted twice

    @property
    def silent_seconds(self) -> float:
        """The seconds since it last answered."""
        return time.monotonic() - self._heard_seconds

    def ask(self) -> bool:
        """Asks the server for its counts; returns False if it does not answer within seconds."""
        with self._asking:
            return self._ask()

    def _ask(self) -> bool:
        try:
            info = self.client.server_info(timeout=_REPLY_SECONDS)[TABLE]
        except (RuntimeError, ReverbError):
            self.answers = False
            self._guard.check()
            return False
        limiter = info.rate_limiter_info
        counted = TableCounts(
            int(limiter.insert_stats.completed), int(limiter.sample_stats.completed), int(info.current_size)
        )
        self.inserted += max(counted.inserted - self.counted.inserted, 0)
        self.sampled += max(counted.sampled - self.counted.sampled, 0)
        self.counted, self._heard_seconds, self.answers = counted, time.monotonic(), True
        ahead = (counted.inserted + 1) * limiter.samples_per_insert - counted.sampled  # with the next insert
        self.blocks_inserts = counted.stored >= limiter.min_size_to_sample and ahead > limiter.max_diff
        return True


class Shards:
    """Clients of all servers of a replay, in order."""

    def __init__(self, addresses: Sequence[str]):
        self.each = [Shard(index, address) for index, address in enumerate(addresses)]

    def poll(self) -> bool:
        """Asks all servers concurrently; returns False if any does not answer within seconds."""
        if len(self.each) == 1:
            return self.each[0].ask()
        answered = run_at_once([shard.ask for shard in self.each], _POLL_SECONDS)
        for shard, has_answered in zip(self.each, answered, strict=True):
            if has_answered is None:  # not yet
                shard.answers = False
        return all(answered)

    def counted(self) -> list[TableCounts]:
        """Each server's counts, as of its last answer."""
        return [shard.counted for shard in self.each]

    def silent(self, seconds: float = 0.0) -> list[str]:
        """A sentence for each server that didn't answer the last `poll` and has been silent for at least `seconds`."""
        return [
            f"{shard.name} has been silent for {shard.silent_seconds:.0f} s"
            for shard in self.each
            if not shard.answers and shard.silent_seconds >= seconds
        ]
