"""How many updates are owed for what was written to replay: one per `env_steps_per_update` transitions beyond the first
`min_size`, made K at a time.

`ReplayRatio` keeps this ratio between acting and learning in one process. `RemoteReplayRatio` is the learner's side if
replay and actors are in other processes, where the servers hold the actors back (`replay.distributed_ratio`). `Balance`
is what a run owes when it stops; it can be resumed in one process or in many.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET

from tfdqn.config import Learner
from tfdqn.records import Counters

if TYPE_CHECKING:
    from tfdqn.replay.reverb.remote_replay import RemoteReplay


class Balance(NamedTuple):
    """What a run owes, as a checkpoint keeps it.

    Args:
      transitions: written to replay since the run began, wherever its replay was.
      exempt: of these, beyond the first `min_size`: what owes no updates, since it filled a replay anew.
      train_steps: updates made.
    """

    transitions: int
    exempt: int
    train_steps: int

    @classmethod
    def saved(cls, counters: Counters, min_size: int, stored: int, settings: Learner) -> Balance:
        """What a checkpoint's counters say, of a run whose replay now stores so many transitions.

        Versions that did not keep `exempt_transitions` may have left more owed, or less, than a run can owe, where it
        had gone from one process to many, or back: then as much as it can.
        """
        if counters.exempt_transitions is not UNSET:
            return cls(counters.transitions, counters.exempt_transitions, counters.train_steps)
        owed = cls(counters.transitions, 0, counters.train_steps).updates_owed(min_size, settings)
        least = -max(min_size - stored, 0) / settings.env_steps_per_update
        plausible = max(min(owed, 2.0 * settings.updates_per_call), least)
        return cls.owing(plausible, counters.transitions, counters.train_steps, min_size, settings)

    @classmethod
    def taken_up(
        cls, counters: Counters, min_size: int, stored: int, is_filled_anew: bool, settings: Learner
    ) -> Balance:
        """What a run owes that goes on in one process, with the replay that was saved or with an empty one."""
        balance = cls.saved(counters, min_size, stored, settings)
        return balance.filled_anew(min_size, settings) if is_filled_anew else balance

    @classmethod
    def owing(cls, updates: float, transitions: int, train_steps: int, min_size: int, settings: Learner) -> Balance:
        """A balance that owes so many updates."""
        earned = settings.env_steps_per_update * (train_steps + updates)
        return cls(transitions, round(transitions - min_size - earned), train_steps)

    def updates_owed(self, min_size: int, settings: Learner) -> float:
        """Updates that are due and not made; negative before replay was filled."""
        counted = self.transitions - self.exempt - min_size
        return counted / settings.env_steps_per_update - self.train_steps

    def filled_anew(self, min_size: int, settings: Learner) -> Balance:
        """Of a replay that begins empty: its first `min_size` transitions owe nothing.

        What is owed already is made after them, but for what is beyond a call: a call must not be due before.
        """
        owed = after_refill(self.updates_owed(min_size, settings), settings)
        filling = min_size / settings.env_steps_per_update
        return Balance.owing(owed - filling, self.transitions, self.train_steps, min_size, settings)


def after_refill(owed: float, settings: Learner) -> float:
    """How many owed updates are still made after replay had to be refilled: at most one call's."""
    return min(max(owed, 0.0), float(settings.updates_per_call))


class ReplayRatio:
    """Keeps actors and a learner at the replay ratio, in one thread or in many.

    Acting may be ahead of learning by at most one further call. So neither side drifts from the ratio, and one of them
    can always go on. No actor begins a step that would exceed this together with the steps under way in other actors.

    Args:
      min_size: transitions in replay before learning starts.
      env_steps_per_update: transitions acted per update.
      updates_per_call: K, the updates that the learner makes at once.
      most_env_steps: where acting ends; None: nowhere.
      transitions: written to replay so far (a resumed run's count).
      exempt: of these, beyond the first `min_size`, what owes no updates.
      env_steps: taken so far.
      train_steps: updates made so far.
    """

    def __init__(
        self,
        min_size: int,
        env_steps_per_update: float,
        updates_per_call: int,
        most_env_steps: int | None = None,
        *,
        transitions: int = 0,
        exempt: int = 0,
        env_steps: int = 0,
        train_steps: int = 0,
    ):
        self._owes_nothing, self._exempt = min_size + exempt, exempt
        self._env_steps_per_update = env_steps_per_update
        self._updates_per_call = updates_per_call
        self._most_env_steps = float("inf") if most_env_steps is None else most_env_steps
        self.transitions, self.env_steps, self.train_steps = transitions, env_steps, train_steps
        self._under_way = 0  # environments that are being stepped: as many transitions, more or less
        lock = threading.Lock()
        self._actors_may, self._learner_may = threading.Condition(lock), threading.Condition(lock)

    def updates_owed(self) -> int:
        """Updates that are due but not yet made."""
        return self._owed_after(self.transitions)

    def may_learn(self) -> bool:
        """Whether a whole call's updates are owed."""
        return self.updates_owed() >= self._updates_per_call

    def may_act(self) -> bool:
        """Whether acting, steps under way included, is less than two calls ahead of learning and not at its end."""
        is_near = self._owed_after(self.transitions + self._under_way) < 2 * self._updates_per_call
        return is_near and self.env_steps + self._under_way < self._most_env_steps

    def acting_is_done(self) -> bool:
        """Whether all environment steps have been taken, and what they owe is known."""
        return self.env_steps >= self._most_env_steps

    def balance(self) -> Balance:
        """The state that a checkpoint keeps."""
        return Balance(self.transitions, self._exempt, self.train_steps)

    def begin_to_act(self, num_envs: int, timeout_seconds: float = 0.0) -> bool:
        """Waits until so many environments may be stepped, and counts them as under way until `acted`.

        False if that takes too long.
        """
        with self._actors_may:
            if not self._actors_may.wait_for(self.may_act, timeout_seconds):
                return False
            self._under_way += num_envs
            self._wake_an_actor()
            return True

    def acted(self, num_envs: int, transitions: int, env_steps: int) -> None:
        """Counts the result of a step of so many environments that `begin_to_act` allowed.

        Room that resets did not use is for the same actor's next step.
        """
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
        """Waits until a call's updates are owed; False if they still are not."""
        with self._learner_may:
            return self._learner_may.wait_for(self.may_learn, timeout_seconds)

    def _owed_after(self, transitions: int) -> int:
        due = int((transitions - self._owes_nothing) / self._env_steps_per_update)
        return max(due, 0) - self.train_steps

    def _wake_an_actor(self) -> None:
        """Wakes one actor, which wakes the next if there is room for two. So no actor wakes in vain."""
        if self.may_act():
            self._actors_may.notify()


class RemoteReplayRatio:
    """How many updates a learner owes for what the replay servers took in; the actors' side is their rate limiters'.

    What the servers count is theirs: of another job before this one, say, or of samples that a learner had fetched
    ahead when it ended. So it is taken from where this learner begins, and what was owed there is the run's to say.

    Args:
      replay: its servers have answered.
      saved: what the run owed at its checkpoint; None: nothing is known of it.
      settings: `env_steps_per_update`, `updates_per_call`.
    """

    def __init__(self, replay: RemoteReplay, saved: Balance | None, settings: Learner):
        self._replay, self._settings = replay, settings
        owed = 0.0 if saved is None else max(saved.updates_owed(replay.min_size, settings), 0.0)
        filling = min(replay.updates_due_unsampled(), 0)
        if filling < 0:
            owed = after_refill(owed, settings) + filling
        self._sampled_ahead = owed - replay.updates_due() - replay.updates_sampled()
        self._transitions_before = (0 if saved is None else saved.transitions) - replay.transitions()
        self._train_steps = 0 if saved is None else saved.train_steps
        self._made_since_poll = 0

    @property
    def transitions(self) -> int:
        """Written to replay since the run began."""
        return self._transitions_before + self._replay.transitions()

    def balance(self) -> Balance:
        """The state that a checkpoint keeps."""
        return Balance.owing(self._owed(), self.transitions, self._train_steps, self._replay.min_size, self._settings)

    def updates_owed(self) -> int:
        """As far as is known without asking; none while a server has nothing to sample."""
        return int(self._owed()) if self._replay.can_be_sampled() else 0

    def may_learn(self) -> bool:
        """Whether a whole call's updates are owed."""
        return self.updates_owed() >= self._settings.updates_per_call

    def wait_to_learn(self, timeout_seconds: float) -> bool:
        """Whether a call's updates are owed; asks the servers where they seem not to be, and waits a little."""
        if self.may_learn():
            return True
        if self._replay.poll():
            self._sampled_ahead -= self._made_since_poll
            self._made_since_poll = 0
            if self.may_learn():
                return True
        time.sleep(timeout_seconds)
        return False

    def learned(self, train_steps: int) -> None:
        """Counts updates made."""
        self._made_since_poll += train_steps
        self._train_steps += train_steps

    def _owed(self) -> float:
        # Of updates, those whose samples have been taken and that were not made when the servers were last asked.
        # Never taken for less than none: the servers hold actors back by their own counts.
        ahead = self._sampled_ahead + self._replay.updates_sampled()
        return self._replay.updates_due() + max(ahead, 0.0) - self._made_since_poll
