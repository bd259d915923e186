"""`SynchronousUpdater`: many updates in one call into TensorFlow, on one device or divided over replicas.

A call costs as much as an update of a small network (docs/performance.md), so one call makes K updates. XLA fuses the
whole loop, which on a CPU is faster for dense networks and slower for convolutions. With several replicas it compiles
only each replica's gradient, since the strategy exchanges them.

fetch K batches → divide them among the devices → K times: one part to each replica, which update together
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.learning.devices import uses_xla
from tfdqn.learning.importance import weighted
from tfdqn.learning.many_updates import (
    HOST,
    CallOutput,
    combined_rows,
    divided,
    each_at,
    in_turn,
    keys_of,
    split_batches,
)
from tfdqn.learning.shared_programs import shared_programs
from tfdqn.learning.strategies.distribution import least_of_processes, num_processes
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
        self._share = config.learner.batch_size // num_processes(strategy)  # B
        self._replica_batch_size = self._share // len(self._devices)  # examples that a replica gets in an update
        compiles_loop = uses_xla(config) and strategy is None
        if uses_xla(config) and not compiles_loop:
            train_step.compile_gradients()
        # AutoGraph would spend seconds searching TF-Agents' and Keras's code for control flow, of which there is none.
        self._compiled_loop = tf.function(self._loop, jit_compile=compiles_loop, autograph=False)
        self._call = tf.function(self._fetch_and_update, autograph=False)

    def __call__(self, owed: int | None = None) -> UpdateResult:
        """Makes K updates."""
        return self._call().in_numpy(self._train_step.num_metrics)

    def trace(self) -> None:
        self._call.get_concrete_function()

    def state(self) -> dict[str, np.ndarray]:
        return self._train_step.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._train_step.load_state(arrays)

    def _fetch_and_update(self) -> CallOutput:
        if len(self._samplers) == len(self._devices):
            parts, keys = self._fetched_by_each_device()
        else:
            parts, keys = self._fetched_and_divided()
        if (shared := shared_programs()) is None:
            rows = self._compiled_loop(*parts)
        else:
            rows = shared.call(self._compiled_loop, *parts)
        return CallOutput.after(rows, self._train_step.agent.network, keys)

    def _fetched_by_each_device(self) -> tuple[list[Sample], tf.Tensor | None]:
        """Has each device fetch its part [K, …] of K batches; returns (the weighted parts, the keys as `keys_of`)."""
        parts = []
        for sampler, device in zip(self._samplers, self._devices, strict=True):
            with on(device):
                parts.append(split_batches(sampler(), self._updates, self._replica_batch_size))
        return self._weighted(parts), keys_of(parts)

    def _fetched_and_divided(self) -> tuple[list[Sample], tf.Tensor | None]:
        """Fetches K batches on the host, and copies a part to each device; returns as `_fetched_by_each_device`."""
        (sampler,) = self._samplers
        with tf.device(HOST):
            batches = split_batches(sampler(), self._updates, len(self._devices), self._replica_batch_size)
            (whole,) = self._weighted([batches])
            keys = keys_of([batches])
        return divided(whole, self._devices), keys

    def _weighted(self, parts: Sequence[Sample]) -> list[Sample]:
        least_of_all = partial(least_of_processes, self._strategy)
        return weighted(parts, self._priorities, self._train_step.train_steps, least_of_all)

    def _loop(self, *parts: Sample) -> tf.Tensor:
        """Makes K updates from each device's part [K, …] of the batches; returns their rows."""
        # The loop is outside of `strategy.run`, since inside a loop optimizers can't merge the replicas' calls.
        row_size = self._train_step.row_size(self._share)
        return in_turn(lambda i: self._update(each_at(i, parts, self._devices)), self._updates, [row_size])

    def _update(self, parts: Sequence[Sample]) -> tf.Tensor:
        """Makes one update from each replica's part of a batch; returns the row of this process's share."""
        if self._strategy is None:
            (whole,) = parts
            return self._train_step.row(whole)

        def part_of(context: tf.distribute.experimental.ValueContext) -> Sample:
            return parts[context.replica_id_in_sync_group % len(parts)]  # the id counts all processes' replicas

        by_replica = self._strategy.experimental_distribute_values_from_function(part_of)
        rows = self._strategy.run(self._train_step.row, (by_replica,))
        return combined_rows(self._strategy.experimental_local_results(rows), self._train_step.num_metrics)
