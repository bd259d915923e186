"""The replay ratio: one update is owed for every `env_steps_per_update` transitions beyond the first `min_size`.

`ReplayRatio` keeps acting and learning at this ratio in one process. If replay and actors are in other processes, the
learner's side is `replay.reverb.remote_replay.RemoteReplayRatio`, and the servers hold the actors back
(`replay.reverb.shards`). `Balance` is what a checkpoint keeps of either, so that a run can be resumed in one process or
in many.
"""

import threading
from typing import NamedTuple

from msgspec import UNSET

from tfdqn.config import Learner
from tfdqn.records import Counters


class Balance(NamedTuple):
    """The counts that determine how many updates a run owes, as a checkpoint keeps them.

        updates owed = (transitions - min_size - exempt) / env_steps_per_update - train_steps

    The defaults are those of a new run.
    """

    transitions: int = 0  # the number written to replay since the run began, over all sessions
    exempt: int = 0  # how many of these, besides the first `min_size`, owe no updates: they refilled an empty replay
    train_steps: int = 0  # the number of updates made

    @classmethod
    def saved(cls, counters: Counters, min_size: int, stored: int, settings: Learner) -> "Balance":
        """The balance in a checkpoint's counters, for a run whose replay now stores `stored` transitions.

        Older versions did not keep `exempt_transitions`. After a change between one process and many their counters
        may imply more or fewer owed updates than are possible, which are then limited to what is possible.
        """
        if counters.exempt_transitions is not UNSET:
            return cls(counters.transitions, counters.exempt_transitions, counters.train_steps)
        balance = cls(counters.transitions, 0, counters.train_steps)
        most = 2.0 * settings.updates_per_call
        least = -max(min_size - stored, 0) / settings.env_steps_per_update
        possible = max(min(balance.updates_owed(min_size, settings), most), least)
        return balance.with_updates_owed(possible, min_size, settings)

    def updates_owed(self, min_size: int, settings: Learner) -> float:
        """The updates that are due but not yet made; negative before `min_size` is reached."""
        return (self.transitions - min_size - self.exempt) / settings.env_steps_per_update - self.train_steps

    def with_updates_owed(self, updates: float, min_size: int, settings: Learner) -> "Balance":
        """The same transitions and updates made, with `exempt` such that `updates` are owed."""
        owing = settings.env_steps_per_update * (self.train_steps + updates)  # the transitions that are not exempt
        return self._replace(exempt=round(self.transitions - min_size - owing))

    def with_empty_replay(self, min_size: int, settings: Learner) -> "Balance":
        """The balance for an empty replay, whose first `min_size` transitions owe no updates.

        Updates that are owed already are made after that, at most one call's: a call must not be due before.
        """
        owed = owed_after_refill(self.updates_owed(min_size, settings), settings)
        return self.with_updates_owed(owed - min_size / settings.env_steps_per_update, min_size, settings)


def owed_after_refill(owed: float, settings: Learner) -> float:
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
        balance: Balance = Balance(),  # noqa: B008 (which is immutable)
        env_steps: int = 0,
    ):
        self.transitions, self._exempt, self.train_steps = balance
        self._owing_none = min_size + self._exempt  # transitions: those that filled replay, once or again
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
        """The updates owed if the run has written so many transitions."""
        due = int((transitions - self._owing_none) / self._env_steps_per_update)
        return max(due, 0) - self.train_steps

    def _wake_an_actor(self) -> None:
        """Wakes one actor if it may act; that one wakes the next, so none is woken to find that it may not."""
        if self.may_act():
            self._actors_may.notify()
