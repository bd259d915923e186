"""`Updater`: whatever makes gradient updates, by whichever strategy; and what a call of it gives."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from tfdqn.learning.train_step import UpdateMetrics
from tfdqn.storage.arrays import SavedArrays, check_arrays


class UpdateResult(NamedTuple):
    """What a call's updates gave."""

    metrics: UpdateMetrics  # NumPy float32[N] each, of N updates
    weights: dict[str, np.ndarray]  # the online network's, by canonical name, after the last update
    keys: np.ndarray | None = None  # of the items sampled, uint64[N × B]; None where there are none
    td_errors: np.ndarray | None = None  # float32[N × B], beside the keys
    staleness: np.ndarray | None = None  # int64[N]: updates between reading weights and applying the gradient
    dropped: int = 0  # gradients not applied, for being too stale


class Updater(Protocol):
    """A way to make updates."""

    def __call__(self, most: int) -> UpdateResult:
        """Makes updates, at most so many; `most` is at least `learner.updates_per_call`."""

    def settle(self) -> UpdateResult | None:
        """Waits for the updates that are still under way, and gives them; None where there are none."""

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint holds, as `TrainStep.state`; nothing may be under way."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Puts back what `state` gave, of this strategy or of another."""

    def close(self) -> None:
        """Lets go of whoever takes part."""


def restore(updates: Updater, saved: SavedArrays) -> None:
    """Puts back what a checkpoint holds. Raises CheckpointError, before anything is, where it is another network's."""
    check_arrays(saved, updates.state(), saved.file)
    updates.load_state(saved)
