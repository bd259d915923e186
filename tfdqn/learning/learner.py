"""`Learner`: a call's worth of updates, checked and published."""

from collections.abc import Callable

import numpy as np

from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.errors import NotFiniteError
from tfdqn.learning.train_step import UpdateMetrics
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.interfaces import ItemPriorities
from tfdqn.storage.arrays import with_prefix

_ADVICE = "lower optimizer.learning_rate, or set agent.gradient_clip_norm, or check the task's rewards"


class Learner:
    """Runs updates → checks them → publishes the weights, and tells replay of errors.

    Args:
      updater: makes the updates.
      board: where the new weights go.
      update_priorities: told how wrong updates were about what was sampled, where that is by priorities.
    """

    def __init__(self, updater: Updater, board: WeightsBoard, update_priorities: Callable[[ItemPriorities], None]):
        self._updater = updater
        self._board = board
        self._update_priorities = update_priorities
        self.train_steps = int(updater.state()["train_steps"])
        self.metrics: dict[str, float] | None = None  # of the last call, as `UpdateMetrics.mean`
        self._staleness: list[np.ndarray] = []
        self.dropped = 0  # gradients dropped for being too stale, all calls together

    def publish(self) -> None:
        """Publishes the weights as they are, so that actors can begin."""
        self._board.put(VersionedWeights(self.train_steps, with_prefix("online", self._updater.state())))

    def run(self, most: int) -> int:
        """One call: updates, at most so many. Returns how many were made.

        Raises NotFiniteError; the weights published stay finite.
        """
        return self._take(self._updater(most))

    def settle(self) -> dict[str, np.ndarray]:
        """Waits for updates that are still under way; gives what a checkpoint holds then, and counts all that is in it.

        That is more than was heard of where a worker was lost with the result of updates that it had applied.
        """
        updated = self._updater.settle()
        if updated is not None:
            self._take(updated)
        state = self._updater.state()
        self.train_steps = int(state["train_steps"])
        return state

    def take_staleness(self) -> np.ndarray | None:
        """Of every update since it was last taken, int64[N]; None where there is none to tell of."""
        taken, self._staleness = self._staleness, []
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
        self.metrics = history.mean()
        self._board.put(VersionedWeights(self.train_steps, updated.weights))
        return made

    def _check_weights(self, updated: UpdateResult) -> None:
        """The metrics may be of a part of the updates: of the chief's share, or before those still under way."""
        for name, weight in updated.weights.items():
            if not np.isfinite(weight).all():
                raise NotFiniteError(
                    f"weight {name} is not finite after train step {self.train_steps + len(updated.metrics.loss)}: "
                    f"{_ADVICE}"
                )

    def _check_finite(self, history: UpdateMetrics) -> None:
        for name in ("loss", "gradient_norm"):
            bad = np.flatnonzero(~np.isfinite(getattr(history, name)))
            if bad.size:
                step = self.train_steps + int(bad[0]) + 1
                raise NotFiniteError(
                    f"{name.replace('_', ' ')} is {getattr(history, name)[bad[0]]} at train step {step}: {_ADVICE}"
                )
