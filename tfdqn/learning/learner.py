"""`Learner`: makes updates, checks that they are finite, and publishes the weights."""

import logging
from collections import deque
from collections.abc import Callable

import numpy as np

from tfdqn.config import Config, RMSprop
from tfdqn.config.user_modules import own_updates_as_own_code_error
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.errors import NotFiniteError
from tfdqn.learning.train_step import UpdateMetrics
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.networks.own_parts import own_advice
from tfdqn.replay.interfaces import ItemPriorities
from tfdqn.storage.arrays import with_prefix

log = logging.getLogger(__name__)

_ADVICE = "lower optimizer.learning_rate, or set agent.gradient_clip_norm, or check the task's rewards"
# In float32 q - m² of equation (12) may be below -epsilon if a gradient is almost constant.
_ADVICE_IF_CENTERED = ", or raise optimizer.epsilon, which centred RMSprop needs where gradients hardly vary"


class Learner:
    """Makes updates, checks them, publishes the weights, and passes TD errors to replay.

    Args:
      update_priorities: is called with the TD errors of the sampled examples, if sampling is by priority.
      own: the sources of the user's parts that the updates are made of; empty if there are none.
      config: names the loss's own metrics, and says by which optimizer a number may have become not finite.
    """

    def __init__(
        self,
        updater: Updater,
        board: WeightsBoard,
        update_priorities: Callable[[ItemPriorities], None],
        own: str = "",
        config: Config | None = None,
    ):
        self._updater = updater
        self._board = board
        self._update_priorities = update_priorities
        self._own = own
        config = config or Config()
        self._names_of_loss = config.agent.metrics
        self._without_mean: set[str] = set()  # of these, those that have been NaN
        is_centered = isinstance(config.optimizer, RMSprop) and config.optimizer.centered
        self._advice = _ADVICE + (_ADVICE_IF_CENTERED if is_centered else "")
        self.train_steps = int(updater.state()["train_steps"])
        self.metrics: dict[str, float] | None = None  # of the last call, as `UpdateMetrics.mean`
        self._staleness: deque[np.ndarray] = deque()  # which another thread takes from
        self.dropped = 0  # gradients dropped for being too stale, over all calls

    def publish(self) -> None:
        """Publishes the current weights, so that actors can begin."""
        self._board.put(VersionedWeights(self.train_steps, with_prefix("online", self._updater.state())))

    def run(self, most: int) -> int:
        """Makes one call's updates, at most `most`; returns how many were made.

        Raises NotFiniteError if a loss, a gradient or a weight is not finite, OwnCodeError if an operation of the
        user's parts fails. Such weights are never published.
        """
        with own_updates_as_own_code_error(self._own):
            updated = self._updater(most)
        return self._take(updated)

    def settle(self) -> dict[str, np.ndarray]:
        """Waits for updates that are under way; returns the state for a checkpoint.

        Also sets `train_steps` to the state's. It may be larger than what was reported, if a worker was lost before it
        could report updates that it had applied.
        """
        with own_updates_as_own_code_error(self._own):
            updated = self._updater.settle()
        if updated is not None:
            self._take(updated)
        state = self._updater.state()
        self.train_steps = int(state["train_steps"])
        return state

    def take_staleness(self) -> np.ndarray | None:
        """Returns the staleness of every update since this was last called, int64[N]; None if there are none."""
        taken = [self._staleness.popleft() for _ in range(len(self._staleness))]
        return np.concatenate(taken) if taken else None

    def _take(self, updated: UpdateResult) -> int:
        history = updated.metrics
        self._check_finite(history)
        made = len(history.loss)
        self.dropped += updated.dropped
        if updated.priorities is not None:
            self._update_priorities(updated.priorities)
        if not made:
            return 0
        self._check_weights(updated)
        if updated.staleness is not None:
            self._staleness.append(updated.staleness)
        self.train_steps += made
        self.metrics = history.mean(self._names_of_loss)
        self._warn_of_missing(self.metrics)
        self._board.put(VersionedWeights(self.train_steps, updated.weights))
        return made

    def _warn_of_missing(self, metrics: dict[str, float]) -> None:
        """Warns once of each metric of the loss whose mean is NaN, and so is left out."""
        for name in self._names_of_loss:
            if f"learning/loss_{name}" not in metrics and name not in self._without_mean:
                self._without_mean.add(name)
                log.warning("the loss's metric %s is NaN at train step %d: its curve has gaps", name, self.train_steps)

    def _check_weights(self, updated: UpdateResult) -> None:
        """Checks that the weights are finite. Metrics can't show it: they may cover only a part of the updates."""
        for name, weight in updated.weights.items():
            if not np.isfinite(weight).all():
                raise NotFiniteError(
                    f"weight {name} is not finite after train step {self.train_steps + len(updated.metrics.loss)}: "
                    f"{self._advice}"
                )

    def _check_finite(self, history: UpdateMetrics) -> None:
        advice = own_advice(self._own) + self._advice
        for name in ("loss", "gradient_norm"):
            bad = np.flatnonzero(~np.isfinite(getattr(history, name)))
            if bad.size:
                step = self.train_steps + int(bad[0]) + 1
                raise NotFiniteError(
                    f"{name.replace('_', ' ')} is {getattr(history, name)[bad[0]]} at train step {step}: {advice}"
                )
