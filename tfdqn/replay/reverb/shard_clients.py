"""`Shards`: asks replay servers in other processes for their counts, all at once; a dead one delays no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import reverb
from reverb.errors import ReverbError

from tfdqn.replay.distributed_ratio import TableCounts
from tfdqn.replay.reverb.server import TABLE, run_at_once
from tfdqn.system.peer_connections import ConnectionGuard

_REPLY_SECONDS = 2  # whole ones
_POLL_SECONDS = 3.0 * _REPLY_SECONDS  # another thread may be asking already


class Shard:
    """One server, which may come and go. Any thread may ask it."""

    def __init__(self, index: int, address: str):
        self.name = f"replay server {index} at {address}"
        self.client = reverb.Client(address)
        self.counted = TableCounts()  # when it last answered
        # As far as this process has seen; never less than before.
        self.inserted = self.sampled = 0
        self.answers = False  # the last question
        self._heard_seconds = time.monotonic()
        self._guard = ConnectionGuard(address)
        self._asking = threading.Lock()  # an answer that overtook another would be counted twice

    @property
    def silent_seconds(self) -> float:
        """How long ago it last answered."""
        return time.monotonic() - self._heard_seconds

    def ask(self) -> bool:
        """Asks it for its counts; False if it does not answer within seconds."""
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
    """All servers of a replay, in order."""

    def __init__(self, addresses: Sequence[str]):
        self.each = [Shard(index, address) for index, address in enumerate(addresses)]

    def poll(self) -> bool:
        """Asks all at once; False if one does not answer within seconds."""
        if len(self.each) == 1:
            return self.each[0].ask()
        run_at_once([shard.ask for shard in self.each], _POLL_SECONDS)
        return all(shard.answers for shard in self.each)

    def counted(self) -> list[TableCounts]:
        """The counts in each server's last answer."""
        return [shard.counted for shard in self.each]

    def silent(self, seconds: float = 0.0) -> list[str]:
        """In words, which have left the last question unanswered and been silent for so long."""
        return [
            f"{shard.name} has been silent for {shard.silent_seconds:.0f} s"
            for shard in self.each
            if not shard.answers and shard.silent_seconds >= seconds
        ]
