"""`LockstepUpdater`: several processes make each update together; the chief says what comes next, the others follow.

Collectives only work if every process issues the same ones in the same order. So before each step the chief sends a
command, itself by a collective, in which the followers wait until it comes. Without replay all learn from the chief's
rollout, which it sends before each call.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import IntEnum

import numpy as np
import tensorflow as tf
from msgspec import Struct

from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.interfaces import ItemPriorities
from tfdqn.replay.rollout import Rollout
from tfdqn.task_spec import TaskSpec


class _Command(IntEnum):
    """A command from the chief to its followers."""

    UPDATE = 1
    STATE = 2
    LOAD = 3
    STOP = 4


class Handshake(Struct, frozen=True):
    """What the chief sends to its followers once, at the beginning."""

    task_spec: TaskSpec
    replay_addresses: list[str]
    config: str  # the chief's configuration, as TOML


class Broadcast:
    """Sends the chief's data to all processes by a MultiWorkerMirroredStrategy.

    Every process must call the same method at the same time.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self._sum = tf.function(self._summed, autograph=False, reduce_retracing=True)

    def content(self, content: bytes = b"") -> bytes:
        """Sends the chief's bytes; returns them in every process."""
        (length,) = self._integers(np.array([len(content)], np.int32))
        padded = np.zeros(-(-int(length) // 4), np.int32)
        padded.view(np.uint8)[: len(content)] = np.frombuffer(content, np.uint8)
        return self._integers(padded).tobytes()[:length]

    def arrays(self, arrays: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Sends the chief's arrays, by name; returns them in every process. Followers pass None."""
        file = io.BytesIO()
        if arrays is not None:
            np.savez(file, **arrays)
        with np.load(io.BytesIO(self.content(file.getvalue())), allow_pickle=False) as sent:
            return {name: sent[name] for name in sent.files}

    def command(self, command: _Command | None = None) -> _Command:
        """Sends the chief's command; returns it in every process. Followers pass None, and wait for it."""
        return _Command(self._integers(np.array([command or 0], np.int32))[0])

    def _integers(self, values: np.ndarray) -> np.ndarray:
        return self._sum(tf.constant(values)).numpy()

    def _summed(self, values: tf.Tensor) -> tf.Tensor:
        """int32[N] summed over all processes. All but the chief's first replica contribute zeros."""

        def in_replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            mine = values * tf.cast(tf.equal(context.replica_id_in_sync_group, 0), tf.int32)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

        return self._strategy.experimental_local_results(self._strategy.run(in_replica))[0]


class LockstepUpdater(Updater):
    """The chief's side: makes each update together with the followers.

    `rollout` is what all learn from; None: each samples replay.
    """

    def __init__(self, updater: Updater, broadcast: Broadcast, rollout: Rollout | None = None):
        self._updater, self._broadcast, self._rollout = updater, broadcast, rollout
        self._closed = False
        self._has_unfinished_step = False  # from a command until what it says is done; if that fails, for good

    def __call__(self, owed: int | None = None) -> UpdateResult:
        with self._step(_Command.UPDATE):
            if self._rollout is not None:
                self._broadcast.arrays(self._rollout.batches)
            return self._updater(owed)

    def trace(self) -> None:
        self._updater.trace()

    def settle(self) -> UpdateResult | None:
        return self._updater.settle()

    def state(self) -> dict[str, np.ndarray]:
        with self._step(_Command.STATE):
            return self._updater.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        with self._step(_Command.LOAD):
            self._broadcast.arrays(arrays)
            self._updater.load_state(arrays)

    def close(self) -> None:
        """Tells the followers to stop.

        After a step that failed here it doesn't: they may wait in that step's collectives, where no command reaches
        them, and it would wait for them. They end once this process has.
        """
        if not self._closed and not self._has_unfinished_step:
            with suppress(tf.errors.OpError):  # one may have gone already
                self._broadcast.command(_Command.STOP)
        self._closed = True
        self._updater.close()

    @contextmanager
    def _step(self, command: _Command) -> Iterator[None]:
        """Sends a command; the block does what it says."""
        self._has_unfinished_step = True
        self._broadcast.command(command)
        yield
        self._has_unfinished_step = False


def follow(
    updater: Updater,
    broadcast: Broadcast,
    update_priorities: Callable[[ItemPriorities], None] | None = None,
    rollout: Rollout | None = None,
) -> None:
    """A follower's side: does what the chief commands until that is to stop.

    `update_priorities` gets the TD errors of the examples that this process has sampled; None: sampling is uniform.
    `rollout` takes the batches of the chief's, from which `updater` learns; None: it samples replay.
    """
    while (command := broadcast.command()) is not _Command.STOP:
        if command is _Command.UPDATE:
            if rollout is not None:
                rollout.load(broadcast.arrays())
            priorities = updater().priorities
            if priorities is not None and update_priorities is not None:
                update_priorities(priorities)
        elif command is _Command.STATE:
            updater.state()
        elif command is _Command.LOAD:
            updater.load_state(broadcast.arrays())
    updater.close()
