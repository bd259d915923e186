"""`RemoteWriter`: writes transitions to replay servers in other processes; its caller decides how long it waits."""

import ctypes
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import reverb
from reverb import structured_writer
from reverb.errors import DeadlineExceededError

from tfdqn.config import Config
from tfdqn.replay.interfaces import Writer
from tfdqn.replay.items.kinds import ItemKind, make_item_kind
from tfdqn.replay.reverb.shards import DistributedReplayRatio, Shard, Shards
from tfdqn.system.interval import IntervalTrigger
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Experience

# Called while a writer waits, at least every few seconds, with the reason; returns False to stop waiting.
KeepWaiting = Callable[[str], bool]
HELD_BACK = "held back by the replay ratio"
_WAIT_SECONDS = 0.25
_SECONDS_BETWEEN_POLLS = 0.25


class GivenUpError(Exception):
    """An actor stopped waiting for a server, whose pending items are still sent in the background if it returns."""


def remote_writer(
    config: Config,
    task_spec: TaskSpec,
    addresses: Sequence[str],
    num_envs: int,
    actor_index: int,
    keep_waiting: KeepWaiting,
) -> "RemoteWriter":
    """Waits until all servers answer; returns a writer for `num_envs` environments of one actor's process.

    Each actor starts with a different server, so that all of them fill equally. Raises GivenUpError if `keep_waiting`
    returns False.
    """
    shards = Shards(addresses)
    while not shards.poll():
        reason = f"waiting for {', '.join(shard.name for shard in shards.each if not shard.answers)}"
        if not keep_waiting(reason):
            raise GivenUpError(reason)
        time.sleep(_WAIT_SECONDS)
    return RemoteWriter(config, make_item_kind(config, task_spec), shards, num_envs, actor_index, keep_waiting)


class RemoteWriter:
    """A `Writer` whose `write` may raise GivenUpError; made by `remote_writer`."""

    def __init__(
        self, config: Config, kind: ItemKind, shards: Shards, num_envs: int, actor_index: int, keep_waiting: KeepWaiting
    ):
        self._kind, self._shards, self._keep_waiting = kind, shards, keep_waiting
        self._ratio = DistributedReplayRatio(config, kind)
        self._polls_servers = self._ratio.limits() is None  # otherwise the tables' rate limiters hold the actor back
        self._poll = IntervalTrigger(_SECONDS_BETWEEN_POLLS, is_due=True)
        self._flush_until: float | None = None
        first = 0 if config.ensemble.in_processes else actor_index % len(shards.each)
        in_turn = [*shards.each[first:], *shards.each[:first]]
        self._writer: Writer = kind.writer([_PatientClient(shard, self._waits) for shard in in_turn], num_envs)

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many transitions it finished.

        Waits while acting is too far ahead of learning, or a server is gone. If that raises GivenUpError, the rest of
        this step's transitions are lost, and none are written twice.
        """
        if self._polls_servers:
            self._hold_back()
        return self._writer.write(experience)

    def raise_largest_priority(self, priority: float) -> None:
        """Raises the priority that new items get to `priority`, if that is larger."""
        self._kind.priority_scale.raise_to(priority)

    def flush(self, timeout_seconds: float) -> bool:
        """Waits until every complete item is in its table; returns False if they aren't within the timeout.

        Waits for the whole timeout even if `keep_waiting` returns False meanwhile.
        """
        self._flush_until = time.monotonic() + timeout_seconds
        try:
            self._kind.flush()
        except GivenUpError:
            return False
        finally:
            self._flush_until = None
        return True

    def state(self) -> dict[str, np.ndarray]:
        """The unfinished transitions."""
        return self._writer.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._writer.load_state(arrays)

    def _hold_back(self) -> None:
        """Polls the servers, if it is time to, and waits while acting is too far ahead of learning."""
        while self._poll.is_due():
            answered = self._shards.poll()
            self._poll.done()
            if answered and not self._ratio.is_ahead(self._shards.counted()):
                return
            self._waits(HELD_BACK if answered else f"waiting for {'; '.join(self._shards.silent())}")
            time.sleep(_SECONDS_BETWEEN_POLLS)

    def _waits(self, reason: str) -> None:
        """Calls `keep_waiting`; raises GivenUpError if it returned False or, in `flush`, after the timeout."""
        keeps_waiting = self._keep_waiting(reason)
        if self._flush_until is not None:
            keeps_waiting = time.monotonic() < self._flush_until
        if not keeps_waiting:
            raise GivenUpError(reason)


class _PatientClient(reverb.Client):
    """A client whose writers call `waits` again and again while they wait for the server, until it raises."""

    def __init__(self, shard: Shard, waits: Callable[[str], None]):
        super().__init__(shard.client.server_address)
        self._shard, self._waits = shard, waits

    def structured_writer(self, configs: Sequence[structured_writer.Config]) -> Any:
        return _PatientWriter(super().structured_writer(configs), self._shard, self._waits)

    def trajectory_writer(self, num_keep_alive_refs: int, **settings: Any) -> Any:
        return _PatientWriter(super().trajectory_writer(num_keep_alive_refs, **settings), self._shard, self._waits)


class _PatientWriter:
    """Wraps a Reverb writer, and replaces its `flush`, which without a deadline waits forever for a dead server."""

    def __init__(
        self,
        writer: structured_writer.StructuredWriter | reverb.TrajectoryWriter,
        shard: Shard,
        waits: Callable[[str], None],
    ):
        self._writer, self._shard, self._waits = writer, shard, waits
        # The destructor, in C++ and with the GIL held, waits until all items are in the table: forever if the server is
        # gone or never sampled. An extra reference keeps it from ever running, even when the interpreter exits.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(writer))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def flush(self, block_until_num_items: int = 0) -> None:
        """Waits until at most `block_until_num_items` items are not yet in the table."""
        is_slow = False  # whether the items didn't arrive although, at the last look, the table would have taken them
        while not self._flush_briefly(block_until_num_items):
            if not self._shard.ask():
                self._waits(f"waiting for {self._shard.name}")
            elif self._shard.blocks_inserts:
                is_slow = False
                self._waits(HELD_BACK)
            elif is_slow:
                self._waits(f"waiting for {self._shard.name}, which takes items slowly")
            else:
                is_slow = True  # unless it blocked them until now, as the next look will show

    def _flush_briefly(self, block_until_num_items: int) -> bool:
        """Flushes for a moment; returns whether enough items are in the table then."""
        try:
            self._writer.flush(block_until_num_items, timeout_ms=int(1000 * _WAIT_SECONDS))
        except DeadlineExceededError:
            return False
        return True
