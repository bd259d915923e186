"""`SynchronousUpdater`: many updates in one call into TensorFlow, on one device or divided over replicas.

A call costs as much as an update of a small network does (docs/performance.md): so one call makes K of them. XLA
then fuses the whole loop, which on a CPU is faster for dense networks, and slower for convolutions; with several
replicas it compiles each replica's gradient, and leaves the exchange to the strategy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.learning.train_step import TrainStep, UpdateMetrics, combined_metrics, split_batches, update_in_turn
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.interfaces import Sample


class SynchronousUpdater(Updater):
    """K updates, one after another.

    Args:
      train_step: the update; made in the scope of `strategy`.
      samplers: called in the graph; one gives a sample with leading axis K × B, B being this process's share of
        the global batch; or as many as there are replicas each give one's part of it, on its device.
      config: `learner` gives K, the global batch and XLA.
      strategy: MirroredStrategy and MultiWorkerMirroredStrategy divide each batch among their replicas; None:
        the process's default device.
    """

    def __init__(
        self,
        train_step: TrainStep,
        samplers: Sequence[Callable[[], Sample]],
        config: Config,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self._train_step = train_step
        self._samplers = samplers
        self._strategy = strategy
        self._local_replicas = 1 if strategy is None else len(strategy.extended.worker_devices)
        self._updates = config.updates_per_call
        self._batch_size = config.learner.batch_size // num_processes(strategy)
        is_alone = strategy is None
        if uses_xla(config) and not is_alone:
            train_step.compile_gradients()
        # AutoGraph would spend seconds walking TF-Agents' and Keras's code for control flow that isn't there.
        self._many = tf.function(self._loop, jit_compile=uses_xla(config) and is_alone, autograph=False)
        self._call = tf.function(self._fetch_and_update, autograph=False)

    def __call__(self, owed: int | None = None) -> UpdateResult:
        """Makes K updates."""
        history, weights = self._call()
        # Outputs of the call are plain memory here. Reading the variables afterwards would give up and retake
        # Python's lock once for each, against an actor that wants it too.
        return UpdateResult(UpdateMetrics(*history.numpy().T), {name: value.numpy() for name, value in weights.items()})

    def state(self) -> dict[str, np.ndarray]:
        return self._train_step.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._train_step.load_state(arrays)

    def _fetch_and_update(self) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        history = self._many(*(sampler() for sampler in self._samplers))
        weights = self._train_step.agent.network.named_weights()
        return history, {name: tf.identity(weight) for name, weight in weights.items()}

    def _loop(self, *samples: Sample) -> tf.Tensor:
        """Metrics float32[K, METRICS]."""
        # The loop is around `strategy.run`: inside it, optimisers can't merge the replicas' calls.
        size = self._batch_size // len(samples)
        return update_in_turn(self._update, *(split_batches(each, self._updates, size) for each in samples))

    def _update(self, *parts: Sample) -> UpdateMetrics:
        """One update from this process's share of a batch, in parts or whole; its metrics are of that share."""
        if self._strategy is None:
            return self._train_step(*parts)
        size = self._batch_size // self._local_replicas

        def share(context: Any) -> Sample:
            replica = context.replica_id_in_sync_group % self._local_replicas
            if len(parts) > 1:
                return parts[replica]
            return parts[0].map(lambda x: x[replica * size : (replica + 1) * size])

        shares = self._strategy.experimental_distribute_values_from_function(share)
        metrics = self._strategy.run(self._train_step, (shares,))
        of_each = tf.nest.map_structure(self._strategy.experimental_local_results, metrics)
        replicas = [tf.stack(each) for each in zip(*of_each, strict=True)]
        return UpdateMetrics(*tf.unstack(combined_metrics(replicas)))


def num_processes(strategy: tf.distribute.Strategy | None) -> int:
    """Over how many processes a strategy divides a batch."""
    return 1 if strategy is None else strategy.num_replicas_in_sync // len(strategy.extended.worker_devices)


def uses_xla(config: Config) -> bool:
    """Whether updates are compiled: as `learner.xla` says; by itself, unless XLA's code would be slow on a CPU.

    It is for convolutions, and for an ensemble's batched products.
    """
    if config.learner.xla != "auto":
        return config.learner.xla == "on"
    is_slow = config.network.is_slow_in_xla or config.ensemble.size > 1
    return not is_slow or bool(tf.config.list_physical_devices("GPU"))
