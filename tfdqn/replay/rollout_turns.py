"""`RolloutTurns`: acts until a rollout is complete, then learns; it takes the place of a replay ratio."""

from tfdqn.records import Counters
from tfdqn.replay.replay_ratio import Balance
from tfdqn.replay.rollout import Rollout


class RolloutTurns:
    """Counts acting and learning, and says whose turn it is. For one thread only.

    Args:
      rollout: that is acted in.
      updates: made of each.
      most_env_steps: where acting ends, in the midst of a rollout, if it does: what is short of a whole one is kept for
        the run's next session.
      counters: where the run stands.
    """

    def __init__(self, rollout: Rollout, updates: int, most_env_steps: int, counters: Counters):
        self._rollout, self._updates, self._most_env_steps = rollout, updates, most_env_steps
        self.transitions, self.env_steps = counters.transitions, counters.env_steps
        self._train_steps = counters.train_steps

    def updates_owed(self) -> int:
        """Those of a whole rollout."""
        return self._updates if self._rollout.is_whole else 0

    def may_learn(self) -> bool:
        """Whether the rollout is complete."""
        return self._rollout.is_whole

    def wait_to_learn(self, timeout_seconds: float) -> bool:
        """As `may_learn`: nobody else acts meanwhile."""
        return self._rollout.is_whole

    def learned(self, train_steps: int) -> None:
        """Counts updates made, after which the rollout is forgotten."""
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
        """The state that a checkpoint keeps; nothing is owed to a replay."""
        return Balance(self.transitions, 0, self._train_steps)
