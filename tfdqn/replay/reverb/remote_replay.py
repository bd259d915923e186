"""`RemoteReplay`: the learner's side of replay in other processes; none of its calls blocks for ever.

The learner knows the servers by their addresses; actors write to them by `remote_writer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from tfdqn.config import Config
from tfdqn.coordination.messages import ReplayStatus
from tfdqn.errors import CheckpointError, first_line
from tfdqn.replay.distributed_ratio import DistributedReplayRatio
from tfdqn.replay.interfaces import ItemPriorities, Sample
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.reverb.priority_updates import PriorityUpdates
from tfdqn.replay.reverb.sampling import make_sampler
from tfdqn.replay.reverb.server import run_at_once
from tfdqn.replay.reverb.shard_clients import Shard, Shards
from tfdqn.task_spec import TaskSpec

_CHECKPOINT_SECONDS = 120.0
_FLUSH_SECONDS = 10.0


class RemoteReplay:
    """Replay servers by their addresses, "host:port" each; they may come and go.

    The servers save their own content, which is no part of the run's checkpoints.
    """

    def __init__(self, config: Config, task_spec: TaskSpec, addresses: Sequence[str]):
        self._kind = make_item_kind(config, task_spec)
        self._priorities = config.priorities
        self._scale = PriorityScale(config.priorities)
        self._updates: PriorityUpdates | None = None  # none were made yet
        self._ratio = DistributedReplayRatio(config, self._kind)
        self.capacity, self.min_size = self._ratio.capacity, self._ratio.min_size
        self._addresses = list(addresses)
        self._shards = Shards(addresses)

    @property
    def addresses(self) -> list[str]:
        """ "host:port" of every server."""
        return self._addresses

    def addresses_at(self, host: str) -> list[str]:
        """The same: all processes of a job reach a server at one address, whatever host they are on."""
        return self._addresses

    def poll(self) -> bool:
        """Asks every server for its counts; False if one does not answer within seconds."""
        return self._shards.poll()

    def updates_due(self) -> int:
        """Updates that were due by the servers' own counts when they were last asked; below zero before `min_size`.

        Samples fetched ahead count as taken.
        """
        return self._ratio.updates_due(self._shards.counted())

    def updates_due_unsampled(self) -> int:
        """The same had nothing been sampled: below zero until `min_size` was reached once."""
        return self._ratio.updates_due_unsampled(self._shards.counted())

    def updates_sampled(self) -> float:
        """For how many updates the servers have given samples, as far as `poll` has heard; it never decreases."""
        return self._ratio.updates_sampled(sum(shard.sampled for shard in self._shards.each))

    def can_be_sampled(self) -> bool:
        """Whether no server had come back with nothing when they were last asked.

        To sample such a one blocks until it is written to: for ever, where acting has ended.
        """
        return all(each.stored for each in self._shards.counted())

    def transitions(self) -> int:
        """Transitions written to the servers so far, in whole items, as far as `poll` has heard.

        It never decreases, though a server may come back with fewer than it had.
        """
        return self._ratio.transitions(sum(shard.inserted for shard in self._shards.each))

    def silent(self, seconds: float = 0.0) -> list[str]:
        """The servers, in words, that did not answer the last `poll` and have been silent for so long."""
        return self._shards.silent(seconds)

    def status(self) -> tuple[ReplayStatus, ...]:
        """The last answer of each server."""
        item = self._kind.transitions_per_item
        return tuple(
            ReplayStatus(
                address=address,
                stored=shard.counted.stored * item,
                capacity=self.capacity // len(self._addresses),
                inserted=shard.counted.inserted * item,
                sampled=shard.counted.sampled * item,
                seconds_since_answer=shard.silent_seconds,
            )
            for address, shard in zip(self._addresses, self._shards.each, strict=True)
        )

    def size(self) -> int:
        """Transitions stored when the servers were last asked, in whole items."""
        return sum(each.stored for each in self._shards.counted()) * self._kind.transitions_per_item

    def sampler(self, num_examples: int) -> Callable[[], Sample]:
        """A function to call inside a `tf.function`; it blocks while a server has nothing, or is gone.

        Raises ConfigError if `num_examples` is no multiple of the examples in an item.
        """
        return make_sampler(self._addresses, self._kind, num_examples, priorities=self._priorities)

    def update_priorities(self, priorities: ItemPriorities) -> None:
        """Sends priorities to the servers in the background. Items that are no longer stored are skipped."""
        if self._updates is None:
            self._updates = PriorityUpdates(self._addresses, self._scale)
        self._updates(priorities)

    @property
    def largest_priority(self) -> float:
        """The largest of all updated priorities."""
        return self._scale.largest

    def state(self) -> dict[str, np.ndarray]:
        """The largest priority: the servers keep all others."""
        return {"largest_priority": np.array(self._scale.largest)} if self._priorities.are_used else {}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned; nothing if the run had another replay then."""
        if "largest_priority" in arrays:
            self._scale.raise_to(float(arrays["largest_priority"]))

    def save(self) -> None:
        """Has every server write its own checkpoint, all at once; returns when they have.

        Raises CheckpointError if one does not do it, or not in time; it then goes on writing if it can.
        """
        if self._updates is not None:
            self._updates.flush(_FLUSH_SECONDS)
        outcomes: dict[Shard, str] = {}

        def checkpoint(shard: Shard) -> None:
            outcomes[shard] = _checkpoint(shard)

        run_at_once([partial(checkpoint, shard) for shard in self._shards.each], _CHECKPOINT_SECONDS)
        late = f"has not written its checkpoint after {_CHECKPOINT_SECONDS:.0f} s"
        problems = [f"{shard.name} {problem}" for shard in self._shards.each if (problem := outcomes.get(shard, late))]
        if problems:
            raise CheckpointError("; ".join(problems))


def _checkpoint(shard: Shard) -> str:
    """Has a server write a checkpoint; returns why it could not, or an empty text."""
    if not shard.ask():
        return "does not answer"
    try:
        shard.client.checkpoint()
    except (RuntimeError, IndexError) as error:  # Reverb's word for a full disk is IndexError
        return f"can't write its checkpoint: {first_line(error)}"
    return ""
