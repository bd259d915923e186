"""`Shards`: asks the replay servers in other processes for their counts, concurrently."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import reverb
from reverb.errors import ReverbError

from tfdqn.replay.reverb.server import TABLE
from tfdqn.replay.reverb.shards import TableCounts
from tfdqn.system.concurrent_calls import run_at_once
from tfdqn.system.peer_connections import ConnectionGuard

_REPLY_SECONDS = 2  # Reverb takes whole seconds
_POLL_SECONDS = 3.0 * _REPLY_SECONDS  # longer, since another thread may be asking already


class Shard:
    """A client of one server, which may stop and restart at any time. Thread-safe."""

    def __init__(self, index: int, address: str):
        self.name = f"replay server {index} at {address}"
        self.client = reverb.Client(address)
        self.counted = TableCounts()  # the last answer
        self.inserted = self.sampled = 0  # totals that never decrease, even if the server restarts with lower counts
        self.answers = False  # whether it answered the last time it was asked
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
