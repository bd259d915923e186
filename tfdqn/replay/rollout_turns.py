"""`RolloutTurns`: alternates between acting in a rollout and learning from it; used instead of a replay ratio."""

from tfdqn.records import Counters
from tfdqn.replay.replay_ratio import Balance
from tfdqn.replay.rollout import Rollout


class RolloutTurns:
    """Counts acting and learning, and says which comes next. Not thread-safe.

    Args:
      rollout: the rollout.
      updates: the number of updates made from each rollout.
      most_env_steps: the number of environment steps at which acting ends. A rollout that is incomplete then is kept
        for the run's next session.
      counters: the run's counters so far.
    """

    def __init__(self, rollout: Rollout, updates: int, most_env_steps: int, counters: Counters):
        self._rollout, self._updates, self._most_env_steps = rollout, updates, most_env_steps
        self.transitions, self.env_steps = counters.transitions, counters.env_steps
        self._train_steps = counters.train_steps

    def updates_owed(self) -> int:
        """The updates of a complete rollout; 0 if it isn't complete."""
        return self._updates if self._rollout.is_whole else 0

    def may_learn(self) -> bool:
        """Whether the rollout is complete."""
        return self._rollout.is_whole

    def wait_to_learn(self, timeout_seconds: float) -> bool:
        """Returns `may_learn()` without waiting, since the only actor is in the same thread."""
        return self._rollout.is_whole

    def learned(self, train_steps: int) -> None:
        """Counts updates made; if there were any, discards the rollout."""
        self._train_steps += train_steps
        if train_steps:
            self._rollout.clear()

    def acting_is_done(self) -> bool:
        """Whether all environment steps have been taken."""
        return self.env_steps >= self._most_env_steps

    def begin_to_act(self, num_envs: int, timeout_seconds: float = 0.0) -> bool:
        """Whether a step may be taken now."""
        return not self._rollout.is_whole and not self.acting_is_done()

    def acted(self, num_envs: int, transitions: int, env_steps: int) -> None:
        """Counts the result of a step."""
        self.transitions += transitions
        self.env_steps += env_steps

    def balance(self) -> Balance:
        """The counts that a checkpoint keeps; there is no replay that owes updates."""
        return Balance(self.transitions, 0, self._train_steps)
