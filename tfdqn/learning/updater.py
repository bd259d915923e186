"""`Updater`: the interface of strategies, which make gradient updates; `UpdateResult`: the result of a call."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.learning.train_step import UpdateMetrics
from tfdqn.replay.interfaces import ItemPriorities
from tfdqn.storage.arrays import SavedArrays, check_arrays


class UpdateResult(NamedTuple):
    """The result of a call's updates."""

    metrics: UpdateMetrics  # NumPy float32[N] each, of N updates
    weights: dict[str, np.ndarray]  # the online network's, by canonical name, after the last update
    staleness: np.ndarray | None = None  # int64[N]: updates between reading weights and applying the gradient
    dropped: int = 0  # gradients not applied, for being too stale
    priorities: ItemPriorities | None = None  # TD errors of this process's examples; None: sampling is uniform

    @classmethod
    def of_rows(
        cls,
        rows: np.ndarray | tf.Tensor,
        num_metrics: int,
        weights: dict[str, np.ndarray],
        keys: np.ndarray | tf.Tensor | None,
    ) -> "UpdateResult":
        """Makes a result from the rows of N updates.

        Args:
          rows: float32[N, M], or [N, M + B] with TD errors.
          num_metrics: M.
          weights: the online network's weights, by canonical name.
          keys: int64[N, B, …] of the batches' examples; None: sampling is uniform.
        """
        rows = np.asarray(rows)
        metrics = UpdateMetrics.of_columns(rows[:, :num_metrics].T)
        if keys is None:
            return cls(metrics, weights)
        errors = rows[:, num_metrics:].ravel()
        return cls(metrics, weights, priorities=ItemPriorities(np.asarray(keys).reshape(len(errors), -1), errors))


class Updater(ABC):
    """Makes gradient updates, K = `learner.updates_per_call` in a call."""

    @abstractmethod
    def __call__(self, owed: int | None = None) -> UpdateResult:
        """Makes a call's updates. Gradients that are too stale are dropped.

        `owed` is the most updates that may be begun, those begun ahead for the next call included; at least K; None: K.
        """

    def trace(self) -> None:  # noqa: B027 (what makes no call of its own has nothing to trace)
        """Traces a call, without making it, so that errors of the loss show before anything acts."""

    def settle(self) -> UpdateResult | None:
        """Waits for the updates that were begun ahead, and returns their result; None if there are none."""
        return None

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """The state for a checkpoint, as `TrainStep.state`. No update may be under way."""

    @abstractmethod
    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned, under this strategy or another."""

    def restore(self, saved: SavedArrays) -> None:
        """Restores a checkpoint. Raises CheckpointError, before anything is changed, if it is of another network."""
        check_arrays(saved, self.state(), saved.file)
        self.load_state(saved)

    def close(self) -> None:  # noqa: B027 (most have nothing to release)
        """Releases the other processes that take part."""
