"""`SynchronousUpdater`: many updates in one call into TensorFlow, on one device or divided over replicas.

A call costs as much as an update of a small network (docs/performance.md), so one call makes K updates. XLA fuses the
whole loop, which on a CPU is faster for dense networks and slower for convolutions. With several replicas it compiles
only each replica's gradient, since the strategy exchanges them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.learning.devices import learns_on_gpus
from tfdqn.learning.importance import weighted
from tfdqn.learning.many_updates import HOST, combined_rows, divided, split_batches, update_in_turn
from tfdqn.learning.shared_programs import shared_programs
from tfdqn.learning.train_step import TrainStep
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.devices import on
from tfdqn.replay.interfaces import Sample, Sampler


class SynchronousUpdater(Updater):
    """Makes K updates in a call, one after another.

    Args:
      train_step: the update; made in the scope of `strategy`.
      samplers: either one sampler, whose samples have a leading axis K × B, where B is this
        process's share of the global batch; or one for each replica, which gives its part on its device.
      strategy: MirroredStrategy and MultiWorkerMirroredStrategy divide each batch among their replicas; None:
        the process's default device.
    """

    def __init__(
        self,
        train_step: TrainStep,
        samplers: Sequence[Sampler],
        config: Config,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self._train_step = train_step
        self._samplers = samplers
        self._strategy = strategy
        self._priorities = config.priorities
        self._devices: Sequence[str | None] = [None] if strategy is None else strategy.extended.worker_devices
        self._updates = config.updates_per_call
        self._batch_size = config.learner.batch_size // num_processes(strategy)
        is_alone = strategy is None
        if uses_xla(config) and not is_alone:
            train_step.compile_gradients()
        # AutoGraph would spend seconds searching TF-Agents' and Keras's code for control flow, of which there is none.
        self._many = tf.function(self._loop, jit_compile=uses_xla(config) and is_alone, autograph=False)
        self._call = tf.function(self._fetch_and_update, autograph=False)

    def __call__(self, owed: int | None = None) -> UpdateResult:
        """Makes K updates."""
        rows, weights, keys = self._call()
        # The outputs of the call are already in memory. Reading the variables afterwards would release and reacquire
        # the GIL for each of them, in competition with an actor.
        named = {name: value.numpy() for name, value in weights.items()}
        return UpdateResult.of_rows(rows, named, keys)

    def trace(self) -> None:
        self._call.get_concrete_function()

    def state(self) -> dict[str, np.ndarray]:
        return self._train_step.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._train_step.load_state(arrays)

    def _fetch_and_update(self) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor | None]:
        """Returns (rows float32[K, …], the weights after the last update, the keys int64[K, B, …] of the examples)."""
        parts, keys = self._fetched() if len(self._samplers) == len(self._devices) else self._fetched_and_divided()
        rows = self._many(*parts) if (shared := shared_programs()) is None else shared.call(self._many, *parts)
        weights = self._train_step.agent.network.named_weights()
        return rows, {name: tf.identity(weight) for name, weight in weights.items()}, keys

    def _fetched(self) -> tuple[list[Sample], tf.Tensor | None]:
        """Fetches each device's part [K, …] of K batches by its own sampler; returns the parts and the keys."""
        size = self._batch_size // len(self._samplers)
        batches = []
        for sampler, device in zip(self._samplers, self._devices, strict=True):
            with on(device):
                batches.append(split_batches(sampler(), self._updates, size))
        return self._weighted(batches), keys_of(batches)

    def _fetched_and_divided(self) -> tuple[list[Sample], tf.Tensor | None]:
        """Fetches K batches by one sampler on the host, and divides them; returns as `_fetched`."""
        (sampler,), parts = self._samplers, len(self._devices)
        with tf.device(HOST):
            batches = [split_batches(sampler(), self._updates, parts, self._batch_size // parts)]
            (whole,) = self._weighted(batches)
            keys = keys_of(batches)
        return divided(whole, self._devices), keys

    def _weighted(self, batches: Sequence[Sample]) -> list[Sample]:
        least_of_all = partial(least_of_processes, self._strategy)
        return weighted(batches, self._priorities, self._train_step.train_steps, least_of_all)

    def _loop(self, *parts: Sample) -> tf.Tensor:
        # The loop is outside of `strategy.run`, since inside a loop optimizers can't merge the replicas' calls.
        row_size = self._train_step.row_size(self._batch_size)
        return update_in_turn(self._update, row_size, *parts, devices=self._devices)

    def _update(self, *parts: Sample) -> tf.Tensor:
        """Makes one update from each replica's part of a batch; returns the row of this process's share."""
        if self._strategy is None:
            (whole,) = parts
            return self._train_step.row(whole)

        def share(context: Any) -> Sample:
            return parts[context.replica_id_in_sync_group % len(parts)]

        shares = self._strategy.experimental_distribute_values_from_function(share)
        rows = self._strategy.run(self._train_step.row, (shares,))
        return combined_rows(self._strategy.experimental_local_results(rows))


def keys_of(batches: Sequence[Sample]) -> tf.Tensor | None:
    """The keys int64[K, …, B, …] of all parts of the batches, concatenated; None if sampling is uniform."""
    draws = [batch.draw for batch in batches]
    return None if None in draws else tf.concat([draw.keys for draw in draws if draw is not None], axis=1)


def gathered(strategy: tf.distribute.Strategy, values: tf.Tensor) -> tf.Tensor:
    """Gathers a tensor from each process, stacked along a new axis, repeated for each replica of a process."""

    def in_replica() -> tf.Tensor:
        return tf.distribute.get_replica_context().all_gather(tf.identity(values)[tf.newaxis], axis=0)

    return strategy.experimental_local_results(strategy.run(in_replica))[0]


def least_of_processes(strategy: tf.distribute.Strategy | None, values: tf.Tensor) -> tf.Tensor:
    """Returns the minima over all processes of float32[K] in each."""
    return values if num_processes(strategy) == 1 else tf.reduce_min(gathered(strategy, values), axis=0)


def num_processes(strategy: tf.distribute.Strategy | None) -> int:
    """The number of processes among which a strategy divides a batch."""
    return 1 if strategy is None else strategy.num_replicas_in_sync // len(strategy.extended.worker_devices)


def uses_xla(config: Config) -> bool:
    """Whether updates are compiled, by `learner.xla`; "auto" compiles unless XLA's code would be slow on a CPU.

    To be called after the strategy is made.
    """
    if config.learner.xla != "auto":
        return config.learner.xla == "on"
    return not config.is_slow_in_xla or learns_on_gpus(config)
