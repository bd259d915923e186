"""`RemoteWriter`: transitions to replay servers in other processes; it waits for them only as long as it is to."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import reverb
from reverb import structured_writer
from reverb.errors import DeadlineExceededError

from tfdqn.config import Config
from tfdqn.replay.distributed_ratio import DistributedReplayRatio
from tfdqn.replay.interfaces import Writer
from tfdqn.replay.items.kinds import ItemKind, make_item_kind
from tfdqn.replay.reverb.shard_clients import Shard, Shards
from tfdqn.system.interval import IntervalTrigger
from tfdqn.task_spec import TaskSpec

if TYPE_CHECKING:
    from tfdqn.types import Experience

# Called while a writer waits, at least every few seconds, with the reason in words; False: wait no longer.
KeepWaiting = Callable[[str], bool]
HELD_BACK = "held back by the replay ratio"
_WAIT_SECONDS = 0.25
_SECONDS_BETWEEN_QUESTIONS = 0.25


class GivenUpError(Exception):
    """A writer was to wait no longer; what is pending goes out in the background if the server comes back."""


def remote_writer(
    config: Config,
    task_spec: TaskSpec,
    addresses: Sequence[str],
    num_envs: int,
    actor_index: int,
    keep_waiting: KeepWaiting,
) -> RemoteWriter:
    """A writer for `num_envs` environments of one actor's process, when all servers have answered.

    Of several servers each actor begins with another. Raises GivenUpError if `keep_waiting` says so.
    """
    shards = Shards(addresses)
    while not shards.poll():
        reason = f"waiting for {', '.join(shard.name for shard in shards.each if not shard.answers)}"
        if not keep_waiting(reason):
            raise GivenUpError(reason)
        time.sleep(_WAIT_SECONDS)
    return RemoteWriter(config, make_item_kind(config, task_spec), shards, num_envs, actor_index, keep_waiting)


class RemoteWriter:
    """As any `Writer`, but that `write` may raise GivenUpError; made by `remote_writer`."""

    def __init__(
        self, config: Config, kind: ItemKind, shards: Shards, num_envs: int, actor_index: int, keep_waiting: KeepWaiting
    ):
        self._kind, self._shards, self._keep_waiting = kind, shards, keep_waiting
        self._ratio = DistributedReplayRatio(config, kind)
        self._asks_servers = self._ratio.limits() is None
        self._question = IntervalTrigger(_SECONDS_BETWEEN_QUESTIONS, is_due=True)
        self._flush_until: float | None = None
        first = 0 if config.ensemble.in_processes else actor_index % len(shards.each)
        in_turn = [*shards.each[first:], *shards.each[:first]]
        self._writer: Writer = kind.writer([_PatientClient(shard, self._waits) for shard in in_turn], num_envs)

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many transitions it finished.

        Waits while acting is too far ahead of learning, or a server is gone. Raises GivenUpError; the rest of this
        step's transitions is then lost, nothing is written twice.
        """
        if self._asks_servers:
            self._hold_back()
        return self._writer.write(experience)

    def raise_largest_priority(self, priority: float) -> None:
        """What new items get from now on, if it is larger than before."""
        self._kind.priority_scale.raise_to(priority)

    def flush(self, timeout_seconds: float) -> bool:
        """Whether every whole item is in its table before the time is over, which alone decides how long it waits."""
        self._flush_until = time.monotonic() + timeout_seconds
        try:
            self._kind.flush()
        except GivenUpError:
            return False
        finally:
            self._flush_until = None
        return True

    def state(self) -> dict[str, np.ndarray]:
        """The windows that are still open."""
        return self._writer.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""
        self._writer.load_state(arrays)

    def _hold_back(self) -> None:
        """Where the tables don't: asks the servers now and then, and waits while acting is ahead."""
        while self._question.is_due():
            answered = self._shards.poll()
            self._question.done()
            if answered and not self._ratio.is_ahead(self._shards.counted()):
                return
            self._waits(HELD_BACK if answered else f"waiting for {'; '.join(self._shards.silent())}")
            time.sleep(_SECONDS_BETWEEN_QUESTIONS)

    def _waits(self, reason: str) -> None:
        """Raises GivenUpError if it is to wait no longer."""
        keeps_waiting = self._keep_waiting(reason)
        if self._flush_until is not None:
            keeps_waiting = time.monotonic() < self._flush_until
        if not keeps_waiting:
            raise GivenUpError(reason)


class _PatientClient(reverb.Client):
    """A client whose writers wait for the server only as long as `waits`, called now and then, does not raise."""

    def __init__(self, shard: Shard, waits: Callable[[str], None]):
        super().__init__(shard.client.server_address)
        self._shard, self._waits = shard, waits

    def structured_writer(self, configs: Sequence[structured_writer.Config]) -> Any:
        return _PatientWriter(super().structured_writer(configs), self._shard, self._waits)

    def trajectory_writer(self, num_keep_alive_refs: int, **settings: Any) -> Any:
        return _PatientWriter(super().trajectory_writer(num_keep_alive_refs, **settings), self._shard, self._waits)


class _PatientWriter:
    """A writer of Reverb's, all of it but `flush`, which without a deadline waits for a dead server for ever."""

    def __init__(
        self,
        writer: structured_writer.StructuredWriter | reverb.TrajectoryWriter,
        shard: Shard,
        waits: Callable[[str], None],
    ):
        self._writer, self._shard, self._waits = writer, shard, waits
        # Its destructor waits below Python, Python's lock held, until all is in the table: for ever where the server
        # is gone or never sampled. With one reference more than there are it is never run, not even at the end.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(writer))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def flush(self, block_until_num_items: int = 0) -> None:
        """Returns when at most so many items are not yet in the table."""
        while True:
            try:
                self._writer.flush(block_until_num_items, timeout_ms=int(1000 * _WAIT_SECONDS))
                return
            except DeadlineExceededError:
                self._waits(HELD_BACK if self._shard.ask() else f"waiting for {self._shard.name}")
