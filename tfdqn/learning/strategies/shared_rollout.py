"""`SharedRolloutUpdater`: all processes learn from the chief's rollout, which the chief sends before each call."""

from collections.abc import Mapping

import numpy as np

from tfdqn.learning.strategies.lockstep import Broadcast
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.rollout import Rollout


class SharedRolloutUpdater(Updater):
    """The updater in one process. All processes must make the same calls at the same time, as `lockstep` makes them.

    Args:
      updater: learns from its share of every batch of `rollout`.
      rollout: filled by acting in the chief, and by the broadcast in the others.
      broadcast: sends the chief's batches to all processes.
    """

    def __init__(self, updater: Updater, rollout: Rollout, broadcast: Broadcast):
        self._updater, self._rollout, self._broadcast = updater, rollout, broadcast

    def __call__(self, owed: int | None = None) -> UpdateResult:
        self._rollout.load(self._broadcast.arrays(self._rollout.batches if self._rollout.is_whole else None))
        return self._updater(owed)

    def state(self) -> dict[str, np.ndarray]:
        return self._updater.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._updater.load_state(arrays)

    def close(self) -> None:
        self._updater.close()
