"""`ReplayRatio`: holds acting and learning in one process to so many environment steps per update.

The learner owes one update per `env_steps_per_update` transitions beyond the first `min_size`, and makes them
K at a time. Acting may run ahead by at most one further call's worth, so neither side drifts from the ratio,
and one of the two can always go on. Of several actors none begins a step that, with the steps that the others are
taking, would go further. (Between processes the same is held by Reverb's rate limiter.)
"""

import threading


class ReplayRatio:
    """A governor between actors and a learner, in one thread or in many.

    Args:
      min_size: transitions in replay before learning starts.
      env_steps_per_update: transitions acted per update.
      updates_per_call: K, the updates that the learner makes at once.
      most_env_steps: where acting ends; None: nowhere.
      transitions: written to replay so far (a resumed run's count).
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
        env_steps: int = 0,
        train_steps: int = 0,
    ):
        self._min_size = min_size
        self._env_steps_per_update = env_steps_per_update
        self._updates_per_call = updates_per_call
        self._most_env_steps = float("inf") if most_env_steps is None else most_env_steps
        self.transitions, self.env_steps, self.train_steps = transitions, env_steps, train_steps
        self._under_way = 0  # environments that are being stepped: as many transitions, more or less
        lock = threading.Lock()
        self._actors_may, self._learner_may = threading.Condition(lock), threading.Condition(lock)

    def updates_owed(self) -> int:
        """Updates due by now and not yet made."""
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

    def begin_to_act(self, num_envs: int, timeout_seconds: float = 0.0) -> bool:
        """Waits until so many environments may be stepped, and counts that as under way until `acted`.

        False if they still may not be.
        """
        with self._actors_may:
            if not self._actors_may.wait_for(self.may_act, timeout_seconds):
                return False
            self._under_way += num_envs
            self._wake_an_actor()
            return True

    def acted(self, num_envs: int, transitions: int, env_steps: int) -> None:
        """Counts what came of a step of so many environments that `begin_to_act` allowed.

        Room that resets have left is for the same actor's next step.
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
        due = int((transitions - self._min_size) / self._env_steps_per_update)
        return max(due, 0) - self.train_steps

    def _wake_an_actor(self) -> None:
        """One only: it wakes the next where there is room for two, and none is woken for nothing."""
        if self.may_act():
            self._actors_may.notify()
