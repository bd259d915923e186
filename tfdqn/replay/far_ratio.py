"""`FarRatio`: the replay ratio of a learner whose replay and actors are in other processes."""

import time

from tfdqn.config import Learner
from tfdqn.replay.replay_ratio import Balance, after_refill
from tfdqn.replay.reverb.remote_replay import RemoteReplay

_POLL_SECONDS = 0.02


class FarRatio:
    """How many updates are owed for what the replay servers took in; the actors' side is their rate limiters'.

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
        self._made_since_poll = 0

    @property
    def transitions(self) -> int:
        """Written to replay since the run began."""
        return self._transitions_before + self._replay.transitions()

    def balance(self, train_steps: int) -> Balance:
        """What the run owes, so many updates of it made."""
        return Balance.owing(
            self._owed(), self.transitions, train_steps, self._replay.min_size, self._settings
        )

    def updates_owed(self) -> int:
        """As far as is known without asking; none while a server has nothing to sample."""
        return int(self._owed()) if self._replay.can_be_sampled() else 0

    def _owed(self) -> float:
        # Of updates, those whose samples have been taken and that were not made when the servers were last asked.
        # Never taken for less than none: the servers hold actors back by their own counts.
        ahead = self._sampled_ahead + self._replay.updates_sampled()
        return self._replay.updates_due() + max(ahead, 0.0) - self._made_since_poll

    def wait_to_learn(self, updates_per_call: int) -> bool:
        """Whether a call's updates are owed; asks the servers where they seem not to be, and waits a little."""
        if self.updates_owed() >= updates_per_call:
            return True
        if self._replay.poll():
            self._sampled_ahead -= self._made_since_poll
            self._made_since_poll = 0
            if self.updates_owed() >= updates_per_call:
                return True
        time.sleep(_POLL_SECONDS)
        return False

    def learned(self, train_steps: int) -> None:
        """Counts updates made."""
        self._made_since_poll += train_steps
