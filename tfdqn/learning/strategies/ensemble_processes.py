"""`EnsembleProcessUpdater`: each member of an ensemble learns in its own process, from its own replay.

After each call the members exchange their weights and metrics, and nothing else. The weights are stacked along a
leading axis K as in the batched ensemble, so acting, evaluation and checkpoints are the same as for that.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import tensorflow as tf

from tfdqn.learning.flat_vector import FlatLayout
from tfdqn.learning.strategies.distribution import gathered
from tfdqn.learning.strategies.synchronous import SynchronousUpdater
from tfdqn.learning.train_step import MAX_Q, UpdateMetrics
from tfdqn.learning.updater import Updater, UpdateResult


class EnsembleProcessUpdater(Updater):
    """The updater in one member's process. All processes must call the same method at the same time.

    The K members exchange weights by `strategy`, a MultiWorkerMirroredStrategy.
    """

    def __init__(self, updater: SynchronousUpdater, member: int, strategy: tf.distribute.Strategy):
        self._updater = updater
        self._member = member
        self._strategy = strategy
        self._gather = tf.function(partial(gathered, strategy), autograph=False, reduce_retracing=True)

    def __call__(self, owed: int | None = None) -> UpdateResult:
        """Makes K updates of every member. The metrics are means over the members, `max_q` their maximum."""
        updated = self._updater(owed)
        history = np.stack(updated.metrics.columns(), axis=1)
        layout = FlatLayout(updated.weights)
        gathered = self._of_all(np.concatenate([history.ravel(), layout.flat(updated.weights)]))
        histories = gathered[:, : history.size].reshape(-1, *history.shape)
        weights = [layout.named(flat) for flat in gathered[:, history.size :]]
        metrics = UpdateMetrics.of_columns(histories.mean(axis=0).T)
        return updated._replace(
            metrics=metrics._replace(max_q=histories[..., MAX_Q].max(axis=0)), weights=_stacked(weights)
        )

    def trace(self) -> None:
        self._updater.trace()

    def state(self) -> dict[str, np.ndarray]:
        """All members' states, stacked; their counters are the same."""
        state = self._updater.state()
        own = {name: array for name, array in state.items() if array.dtype == np.float32}
        layout = FlatLayout(own)
        return state | _stacked([layout.named(flat) for flat in self._of_all(layout.flat(own))])

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores this member's part of what `state` returned."""
        self._updater.load_state(
            {name: array[self._member] if array.dtype == np.float32 else array for name, array in arrays.items()}
        )

    def close(self) -> None:
        self._updater.close()

    def _of_all(self, flat: np.ndarray) -> np.ndarray:
        """Gathers float32[N] of every member; returns float32[K, N]."""
        rows = self._gather(tf.constant(flat)).numpy()
        return rows[:: len(self._strategy.extended.worker_devices)]  # each replica of a process has sent the same


def _stacked(members: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([member[name] for member in members]) for name in members[0]}
