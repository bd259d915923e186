"""The replay ratio: one update is owed for every `env_steps_per_update` transitions beyond the first `min_size`.

`ReplayRatio` keeps acting and learning at this ratio in one process. `RemoteReplayRatio` is the learner's side if
replay and actors are in other processes, where the servers hold the actors back (`replay.reverb.shards`). `Balance`
is what a checkpoint keeps of either, so that a run can be resumed in one process or in many.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET

from tfdqn.config import Config, Learner
from tfdqn.records import Counters

if TYPE_CHECKING:  # imports Reverb, which only this side of the ratio needs
    from tfdqn.replay.reverb.remote_replay import RemoteReplay


class Balance(NamedTuple):
    """The counts that determine how many updates a run owes, as a checkpoint keeps them."""

    transitions: int  # the number written to replay since the run began, over all sessions
    exempt: int  # how many of these, besides the first `min_size`, owe no updates: they refilled an empty replay
    train_steps: int  # the number of updates made

    @classmethod
    def saved(cls, counters: Counters, min_size: int, stored: int, settings: Learner) -> "Balance":
        """The balance in a checkpoint's counters, for a run whose replay now stores `stored` transitions.

        Older versions did not keep `exempt_transitions`. After a change between one process and many their counters
        may imply more or fewer owed updates than are possible, which are then limited to what is possible.
        """
        if counters.exempt_transitions is not UNSET:
            return cls(counters.transitions, counters.exempt_transitions, counters.train_steps)
        owed = cls(counters.transitions, 0, counters.train_steps).updates_owed(min_size, settings)
        least = -max(min_size - stored, 0) / settings.env_steps_per_update
        plausible = max(min(owed, 2.0 * settings.updates_per_call), least)
        return cls.owing(plausible, counters.transitions, counters.train_steps, min_size, settings)

    @classmethod
    def owing(cls, updates: float, transitions: int, train_steps: int, min_size: int, settings: Learner) -> "Balance":
        """Makes a balance that owes `updates` updates, by choosing `exempt`."""
        earned = settings.env_steps_per_update * (train_steps + updates)
        return cls(transitions, round(transitions - min_size - earned), train_steps)

    def updates_owed(self, min_size: int, settings: Learner) -> float:
        """The updates that are due but not yet made; negative before `min_size` is reached."""
        counted = self.transitions - self.exempt - min_size
        return counted / settings.env_steps_per_update - self.train_steps

    def with_empty_replay(self, min_size: int, settings: Learner) -> "Balance":
        """The balance for an empty replay, whose first `min_size` transitions owe no updates.

        Updates that are owed already are made after that, at most one call's: a call must not be due before.
        """
        owed = after_refill(self.updates_owed(min_size, settings), settings)
        filling = min_size / settings.env_steps_per_update
        return Balance.owing(owed - filling, self.transitions, self.train_steps, min_size, settings)


def after_refill(owed: float, settings: Learner) -> float:
    """How many of the owed updates are still made after replay has been refilled: at most one call's."""
    return min(max(owed, 0.0), float(settings.updates_per_call))


class ReplayRatio:
    """Keeps actors and a learner at the replay ratio, in one thread or in many.

    Acting stops when two calls of the learner are due. So neither side drifts from the ratio, and one of them can
    always continue. An actor's step counts from its beginning, so several actors together don't exceed this.

    Args:
      updates_per_call: K, the number of updates in one call of the learner.
      most_env_steps: the number of environment steps at which acting ends; None: no limit.
    """

    def __init__(
        self,
        min_size: int,
        env_steps_per_update: float,
        updates_per_call: int,
        most_env_steps: int | None = None,
        balance: Balance = Balance(0, 0, 0),  # noqa: B008 (which is immutable)
        env_steps: int = 0,
    ):
        self.transitions, self._exempt, self.train_steps = balance
        self._exempt_in_all = min_size + self._exempt
        self._env_steps_per_update = env_steps_per_update
        self._updates_per_call = updates_per_call
        self._most_env_steps = float("inf") if most_env_steps is None else most_env_steps
        self.env_steps = env_steps
        self._under_way = 0  # environments that are being stepped, each of which gives about one transition
        lock = threading.Lock()
        self._actors_may, self._learner_may = threading.Condition(lock), threading.Condition(lock)

    def updates_owed(self) -> int:
        """Updates that are due but not yet made."""
        return self._owed_after(self.transitions)

    def may_learn(self) -> bool:
        """Whether enough updates are owed for a call of the learner."""
        return self.updates_owed() >= self._updates_per_call

    def may_act(self) -> bool:
        """Whether less than two calls would be due, and acting not done, after the steps under way."""
        is_within_ratio = self._owed_after(self.transitions + self._under_way) < 2 * self._updates_per_call
        return is_within_ratio and self.env_steps + self._under_way < self._most_env_steps

    def acting_is_done(self) -> bool:
        """Whether all environment steps have been taken and counted."""
        return self.env_steps >= self._most_env_steps

    def balance(self) -> Balance:
        """The state that a checkpoint keeps."""
        return Balance(self.transitions, self._exempt, self.train_steps)

    def begin_to_act(self, num_envs: int, timeout_seconds: float = 0.0) -> bool:
        """Waits until acting may go on; then counts `num_envs` environments as under way until `acted` is called.

        Returns False if it may not within the timeout.
        """
        with self._actors_may:
            if not self._actors_may.wait_for(self.may_act, timeout_seconds):
                return False
            self._under_way += num_envs
            self._wake_an_actor()
            return True

    def acted(self, num_envs: int, transitions: int, env_steps: int) -> None:
        """Counts the results of a step that `begin_to_act` allowed; in `env_steps`, resets don't count."""
        with self._actors_may:
            self._under_way -= num_envs
            self.transitions += transitions
            self.env_steps += env_steps
            if self.may_learn():
                self._learner_may.notify_all()

    def learned(self, train_steps: int) -> None:
        """Counts updates made."""
        with self._learner_may:
            self.train_steps += train_steps
            self._wake_an_actor()

    def wait_to_learn(self, timeout_seconds: float) -> bool:
        """Waits until enough updates are owed for a call of the learner; returns False after the timeout."""
        with self._learner_may:
            return self._learner_may.wait_for(self.may_learn, timeout_seconds)

    def _owed_after(self, transitions: int) -> int:
        due = int((transitions - self._exempt_in_all) / self._env_steps_per_update)
        return max(due, 0) - self.train_steps

    def _wake_an_actor(self) -> None:
        """Wakes one actor if it may act; that one wakes the next, so none is woken to find that it may not."""
        if self.may_act():
            self._actors_may.notify()


class RemoteReplayRatio:
    """Counts the updates that a learner owes for the transitions on the replay servers, which hold back the actors.

    The servers' counts may include those of an earlier job, or samples that an earlier learner fetched ahead and never
    used. So only their changes since this learner started count, on top of what the run's checkpoint owed. All servers
    must have answered once. `env_steps` returns those that the actors have reported.
    """

    def __init__(self, replay: "RemoteReplay", saved: Balance | None, config: Config, env_steps: Callable[[], int]):
        self._replay, self._settings = replay, config.learner
        self._env_steps, self._most_env_steps = env_steps, config.stop.env_steps
        self._counted_env_steps = env_steps()  # whose transitions the servers' last answers include
        owed = 0.0 if saved is None else max(saved.updates_owed(replay.min_size, config.learner), 0.0)
        filling = min(replay.updates_due_unsampled(), 0)
        if filling < 0:
            owed = after_refill(owed, config.learner) + filling
        self._sampled_ahead = owed - replay.updates_due() - replay.updates_sampled()
        self._transitions_before = (0 if saved is None else saved.transitions) - replay.transitions()
        self._train_steps = 0 if saved is None else saved.train_steps
        self._made_since_poll = 0

    @property
    def transitions(self) -> int:
        """The number of transitions written to replay since the run began."""
        return self._transitions_before + self._replay.transitions()

    def balance(self) -> Balance:
        """The state that a checkpoint keeps."""
        return Balance.owing(self._owed(), self.transitions, self._train_steps, self._replay.min_size, self._settings)

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
        env_steps = self._env_steps()
        if self._replay.poll():
            # In this order: a thread that asks in between must not find that too few are owed, which would end the run.
            made, self._made_since_poll = self._made_since_poll, 0
            self._sampled_ahead -= made
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
        self._made_since_poll += train_steps
        self._train_steps += train_steps

    def _owed(self) -> float:
        # Updates whose samples had been drawn, but which had not been made, when the servers last answered. Not below
        # 0: the servers hold the actors back by their own counts.
        ahead = self._sampled_ahead + self._replay.updates_sampled()
        return self._replay.updates_due() + max(ahead, 0.0) - self._made_since_poll
