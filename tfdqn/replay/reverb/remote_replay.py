"""`RemoteReplay`: the learner's side of replay in other processes; actors write to it by `remote_writer`.

`RemoteReplayRatio` says how many updates the learner owes for it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from reverb.errors import ReverbError

from tfdqn.config import Config, Learner
from tfdqn.coordination.messages import ReplayStatus
from tfdqn.errors import CheckpointError, PeerLostError, first_line
from tfdqn.replay.interfaces import ItemPriorities, Sampler
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.replay_ratio import Balance, owed_after_refill
from tfdqn.replay.reverb.priority_updates import PriorityUpdates
from tfdqn.replay.reverb.sampling import ReverbSource
from tfdqn.replay.reverb.server import TABLE, write_checkpoint
from tfdqn.replay.reverb.shards import DistributedReplayRatio, Shard, Shards
from tfdqn.system.concurrent_calls import run_at_once
from tfdqn.task_spec import TaskSpec

_CHECKPOINT_SECONDS = 120.0
_FLUSH_SECONDS = 10.0


class RemoteReplay:
    """Replay on servers in other processes, at addresses "host:port", which may stop and restart at any time.

    The servers write their own checkpoints, which are not part of the run's. Every call but a sampler's has a limit.
    """

    def __init__(self, config: Config, task_spec: TaskSpec, addresses: Sequence[str]):
        self._kind = make_item_kind(config, task_spec)
        self._priorities = config.priorities
        self._scale = PriorityScale(config.priorities)
        self._updates = PriorityUpdates(addresses, self._scale)
        self._ratio = DistributedReplayRatio(config, self._kind)
        self.capacity, self.min_size = self._ratio.capacity, self._ratio.min_size
        self.addresses = list(addresses)
        self._shards = Shards(addresses)

    def addresses_at(self, host: str) -> list[str]:
        """Returns `addresses`: all processes of a job reach a server at the same address, from any host."""
        return self.addresses

    def poll(self) -> bool:
        """Asks every server for its counts; returns False if any does not answer within seconds."""
        return self._shards.poll()

    def updates_due(self) -> int:
        """The updates due by the servers' counts in the last `poll`; negative before `min_size` is reached.

        Samples that were fetched ahead count as used.
        """
        return self._ratio.updates_due(self._shards.counted())

    def updates_due_unsampled(self) -> int:
        """The updates that would be due if nothing had been sampled; negative until `min_size` is first reached."""
        return self._ratio.updates_due_unsampled(self._shards.counted())

    def updates_sampled(self) -> float:
        """The number of updates for which the servers have given samples, as of the last `poll`; never decreases."""
        return self._ratio.updates_sampled(sum(shard.sampled for shard in self._shards.each))

    def can_be_sampled(self) -> bool:
        """Whether every server had items in the last `poll`.

        Sampling an empty server, such as one that restarted without its checkpoint, blocks until something is written
        to it: forever, if acting has ended.
        """
        return all(each.stored for each in self._shards.counted())

    def transitions(self) -> int:
        """The number of transitions written to the servers, in whole items, as of the last `poll`.

        Never decreases, even if a server restarts with fewer than it had.
        """
        return self._ratio.transitions(sum(shard.inserted for shard in self._shards.each))

    def silent(self, seconds: float = 0.0) -> list[str]:
        """A sentence for each server that didn't answer the last `poll` and has been silent for at least `seconds`."""
        return self._shards.silent(seconds)

    def status(self) -> tuple[ReplayStatus, ...]:
        """The state of each server, as of its last answer."""
        item = self._kind.transitions_per_item
        return tuple(
            ReplayStatus(
                address=address,
                stored=shard.counted.stored * item,
                capacity=self.capacity // len(self.addresses),
                inserted=shard.counted.inserted * item,
                sampled=shard.counted.sampled * item,
                seconds_since_answer=shard.silent_seconds,
            )
            for address, shard in zip(self.addresses, self._shards.each, strict=True)
        )

    def flush(self) -> None:
        """Does nothing: other processes write."""

    def size(self) -> int:
        """The number of transitions stored, in whole items, as of the last `poll`."""
        return sum(each.stored for each in self._shards.counted()) * self._kind.transitions_per_item

    def sampler(self, num_examples: int) -> Sampler:
        """Returns a function that draws a sample.

        It blocks while a server is empty or gone.

        Raises ConfigError if `num_examples` isn't a multiple of the number of examples in an item.
        """
        return ReverbSource(self.addresses, self._kind, self._priorities).sampler(num_examples)

    def update_priorities(self, priorities: ItemPriorities) -> None:
        self._updates(priorities)

    @property
    def largest_priority(self) -> float:
        """The largest priority of any update."""
        return self._scale.largest

    def state(self) -> dict[str, np.ndarray]:
        """The largest priority; the servers keep all others."""
        return self._scale.state() if self._priorities.are_used else {}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned. A run saved without priorities has none to restore."""
        if "largest_priority" in arrays:
            self._scale.load_state(arrays)

    def clear(self) -> None:
        """Empties all servers and their checkpoints; their counts begin at 0 again.

        Raises PeerLostError if one can't be emptied.
        """
        if problems := self._have_all(_clear, "emptied its table"):
            raise PeerLostError(problems)

    def save(self) -> None:
        """Makes all servers write their checkpoints at the same time, and waits until they have.

        Raises CheckpointError if a server fails to, or takes too long; it may then still finish later.
        """
        self._updates.flush(_FLUSH_SECONDS)
        if problems := self._have_all(_checkpoint, "written its checkpoint"):
            raise CheckpointError(problems)

    def _have_all(self, act: Callable[[Shard], str], done: str) -> str:
        """Has all servers do something at the same time; returns what went wrong, or an empty string.

        `act` has one server do it, and returns why that failed, or an empty string; `done` is for the message if it
        takes too long.
        """
        shards, late = self._shards.each, f"has not {done} after {_CHECKPOINT_SECONDS:.0f} s"
        outcomes = run_at_once([partial(act, shard) for shard in shards], _CHECKPOINT_SECONDS)
        problems = (late if outcome is None else outcome for outcome in outcomes)
        return "; ".join(f"{shard.name} {problem}" for shard, problem in zip(shards, problems, strict=True) if problem)


def _clear(shard: Shard) -> str:
    """Empties a server and its checkpoint; returns why that failed, or an empty string."""
    if not shard.ask():
        return "does not answer"
    try:
        shard.client.reset(TABLE)
    except (RuntimeError, ReverbError) as error:
        return f"can't be emptied: {first_line(error)}"
    return _checkpoint(shard)  # which takes its new counts first


def _checkpoint(shard: Shard) -> str:
    """Makes a server write a checkpoint; returns why it could not, or an empty string."""
    if not shard.ask():
        return "does not answer"
    problem = write_checkpoint(shard.client)
    return problem and f"can't write its checkpoint: {problem}"


class RemoteReplayRatio:
    """Counts the updates that a learner owes for the transitions on the replay servers, which hold back the actors.

    In updates since the run began:

        owed = earned - made
        earned = earned before + due + sampled

    `RemoteReplay` says how many are due and how many have been sampled for. What is sampled is no longer due, so their
    sum changes only by new transitions. It may include those of an earlier job, or samples that an earlier learner
    fetched ahead and never used: 'earned before' is such that at the start `owed` is what the checkpoint owed.

    At least as many are owed as were due in the last `poll`. The servers hold the actors back by that number, so a
    learner that believed it owed less would wait for the actors, and they for it.

    Args:
      replay: its servers have answered once.
      saved: the checkpoint's balance; `Balance()` for a new run.
      env_steps: returns the number of environment steps that the actors have reported.
    """

    def __init__(self, replay: RemoteReplay, saved: Balance, config: Config, env_steps: Callable[[], int]):
        self._replay, self._settings = replay, config.learner
        self._env_steps, self._most_env_steps = env_steps, config.stop.env_steps
        self._counted_env_steps = env_steps()  # whose transitions the servers' last answers include
        self._train_steps = saved.train_steps
        self._transitions_before = saved.transitions - replay.transitions()
        earned = saved.train_steps + _owed_at_start(replay, saved, config.learner)
        self._earned_before = earned - self._earned_on_servers()
        self._least_earned = saved.train_steps + replay.updates_due()  # updates made and due, at the last poll

    @property
    def transitions(self) -> int:
        """The number of transitions written to replay since the run began."""
        return self._transitions_before + self._replay.transitions()

    def balance(self) -> Balance:
        """The state that a checkpoint keeps."""
        made = Balance(self.transitions, train_steps=self._train_steps)
        return made.with_updates_owed(self._owed(), self._replay.min_size, self._settings)

    def updates_owed(self) -> int:
        """The updates that are due but not yet made, as of the last `poll`; 0 while a server has nothing to sample."""
        return int(self._owed()) if self._replay.can_be_sampled() else 0

    def may_learn(self) -> bool:
        """Whether enough updates are owed for a call of the learner."""
        return self.updates_owed() >= self._settings.updates_per_call

    def wait_to_learn(self, timeout_seconds: float) -> bool:
        """Whether enough updates are owed for a call of the learner; if not, polls the servers, and may sleep."""
        if self.may_learn():
            return True
        env_steps = self._env_steps()  # before the poll, whose answers then include their transitions
        if self._replay.poll():
            # In this order: a thread that asks in between must not find that acting is done and too few are owed,
            # which would end the run.
            self._least_earned = self._train_steps + self._replay.updates_due()
            self._counted_env_steps = env_steps
            if self.may_learn():
                return True
        time.sleep(timeout_seconds)
        return False

    def acting_is_done(self) -> bool:
        """Whether all environment steps have been taken, and the servers have counted their transitions since."""
        return self._counted_env_steps >= self._most_env_steps

    def learned(self, train_steps: int) -> None:
        """Counts updates made."""
        self._train_steps += train_steps

    def _owed(self) -> float:
        earned = self._earned_before + self._earned_on_servers()
        return max(earned, self._least_earned) - self._train_steps

    def _earned_on_servers(self) -> float:
        return self._replay.updates_due() + self._replay.updates_sampled()


def _owed_at_start(replay: RemoteReplay, saved: Balance, settings: Learner) -> float:
    """The updates that a learner owes when it starts; negative if replay must be filled before it owes any."""
    owed = max(saved.updates_owed(replay.min_size, settings), 0.0)
    until_filled = max(-replay.updates_due_unsampled(), 0)
    return owed_after_refill(owed, settings) - until_filled if until_filled else owed
