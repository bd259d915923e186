"""`ReplayRatio`: holds acting and learning in one process to so many environment steps per update.

The learner owes one update per `env_steps_per_update` transitions beyond the first `min_size`, and makes them
K at a time. Acting may run ahead by at most one further call's worth, so neither side drifts from the ratio,
and one of the two can always go on. (Between processes the same is held by Reverb's rate limiter.)
"""

import threading
from collections.abc import Callable


class ReplayRatio:
    """A governor between an actor and a learner, in one thread or in two.

    Args:
      min_size: transitions in replay before learning starts.
      env_steps_per_update: transitions acted per update.
      updates_per_call: K, the updates that the learner makes at once.
      transitions: written to replay so far (a resumed run's count).
      train_steps: updates made so far.
    """

    def __init__(
        self,
        min_size: int,
        env_steps_per_update: float,
        updates_per_call: int,
        *,
        transitions: int = 0,
        train_steps: int = 0,
    ):
        self._min_size = min_size
        self._env_steps_per_update = env_steps_per_update
        self._updates_per_call = updates_per_call
        self.transitions, self.train_steps = transitions, train_steps
        self._changed = threading.Condition()

    def updates_owed(self) -> int:
        """Updates due by now and not yet made."""
        due = int((self.transitions - self._min_size) / self._env_steps_per_update)
        return max(due, 0) - self.train_steps

    def may_learn(self) -> bool:
        """Whether a whole call's updates are owed."""
        return self.updates_owed() >= self._updates_per_call

    def may_act(self) -> bool:
        """Whether acting is less than two calls ahead of learning."""
        return self.updates_owed() < 2 * self._updates_per_call

    def acted(self, transitions: int) -> None:
        """Counts transitions written."""
        with self._changed:
            self.transitions += transitions
            self._changed.notify_all()

    def learned(self, train_steps: int) -> None:
        """Counts updates made."""
        with self._changed:
            self.train_steps += train_steps
            self._changed.notify_all()

    def wait_to_act(self, timeout_seconds: float) -> bool:
        """Waits until acting may go on; False if it still may not."""
        return self._wait(self.may_act, timeout_seconds)

    def wait_to_learn(self, timeout_seconds: float) -> bool:
        """Waits until a call's updates are owed; False if they still are not."""
        return self._wait(self.may_learn, timeout_seconds)

    def _wait(self, condition: Callable[[], bool], timeout_seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, timeout_seconds)
