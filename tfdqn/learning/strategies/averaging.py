"""`AveragingUpdater`: replicas that update their own copies of the weights, and regularly average them.

Every replica makes H updates on its share of the data. Then the weights and target weights of all replicas, and with
`learner.average_optimizer` the optimizer's moments, are replaced by their means (McMahan et al. 2017, 'federated
averaging'; Stich 2019, 'local SGD'). H = 1 with plain SGD is synchronous training; a larger H communicates H times
less, and lets the replicas drift apart in between.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from tfdqn.agents.factory import make_agent
from tfdqn.config import Config
from tfdqn.learning.devices import uses_xla
from tfdqn.learning.flat_vector import FlatLayout, flat_tensor
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
from tfdqn.learning.strategies.distribution import least_of_processes, num_processes
from tfdqn.learning.train_step import TrainStep
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.interfaces import Sample, Sampler
from tfdqn.task_spec import TaskSpec

Named = dict[str, tf.Variable]


class AveragingUpdater(Updater):
    """K updates of every replica, with an average after every H updates.

    Args:
      devices: this process's, each of which has a replica.
      sampler: gives a sample with leading axis K × B, B being this process's share of the global batch.
      strategy: a MultiWorkerMirroredStrategy averages over its processes too; None: there is only this process.
      process: this process's number among them, as of `Cluster.rank`.
    """

    def __init__(
        self,
        config: Config,
        task_spec: TaskSpec,
        devices: Sequence[str],
        sampler: Sampler,
        strategy: tf.distribute.Strategy | None = None,
        process: int = 0,
    ):
        self._devices = devices
        self._sampler = sampler
        self._priorities = config.priorities
        self._strategy = strategy
        processes = num_processes(strategy)
        settings = config.learner
        self._updates_per_period = settings.averaging_period_train_steps
        self._num_periods = settings.updates_per_call // self._updates_per_period
        self._replica_batch_size = (
            settings.batch_size // processes // len(devices)
        )  # examples that a replica gets in an update
        self._averages_optimizer = settings.average_optimizer
        self._replicas: list[TrainStep] = []
        for index, device in enumerate(devices):
            first = (process * len(devices) + index) * self._replica_batch_size
            with tf.device(device):
                self._replicas.append(TrainStep(make_agent(config, task_spec), config, first))
        self._compiled_periods = [
            tf.function(partial(self._period_of_replica, replica), jit_compile=uses_xla(config), autograph=False)
            for replica in self._replicas
        ]
        self._call = tf.function(self._fetch_and_update, autograph=False)
        self._mean_slots = tf.function(lambda: self._mean(_slots), autograph=False)

    def __call__(self, owed: int | None = None) -> UpdateResult:
        """Makes K updates of every replica."""
        return self._call().in_numpy(self._replicas[0].num_metrics)

    def trace(self) -> None:
        self._call.get_concrete_function()

    def state(self) -> dict[str, np.ndarray]:
        """The mean of the replicas' states. It is any replica's state if everything is averaged."""
        state = self._replicas[0].state()
        slots = _slots(self._replicas[0])
        if self._averages_optimizer or not slots:
            return state
        layout = FlatLayout(slots)
        return state | layout.named(self._mean_slots().numpy())

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        for replica in self._replicas:
            replica.load_state(arrays)

    def _fetch_and_update(self) -> CallOutput:
        """Fetches K batches and divides them among the replicas; then updates and averages these, period by period."""
        updates, replicas = self._num_periods * self._updates_per_period, len(self._replicas)
        with tf.device(HOST):
            batches = split_batches(self._sampler(), updates, replicas, self._replica_batch_size)
            keys = keys_of([batches])
            # Weighted as a whole batch, as if one replica had all of it.
            least_of_all = partial(least_of_processes, self._strategy)
            (whole,) = weighted([batches], self._priorities, self._replicas[0].train_steps, least_of_all)
            by_period = whole.map(lambda x: tf.reshape(x, [self._num_periods, self._updates_per_period, *x.shape[1:]]))
        parts = divided(by_period, self._devices, axis=2)  # each [K / H, H, B / R, …]
        row_size = self._replicas[0].row_size(replicas * self._replica_batch_size)
        rows = in_turn(
            lambda i: self._update_and_average(each_at(i, parts, self._devices)),
            self._num_periods,
            [self._updates_per_period, row_size],
        )
        return CallOutput.after(tf.reshape(rows, [updates, row_size]), self._replicas[0].agent.network, keys)

    def _update_and_average(self, parts: Sequence[Sample]) -> tf.Tensor:
        """Makes H updates of every replica, in parallel, and averages; returns their combined rows, float32[H, …]."""
        rows = []
        for compiled_period, device, part in zip(self._compiled_periods, self._devices, parts, strict=True):
            with tf.device(device):
                rows.append(compiled_period(part))
        combined = combined_rows(rows, self._replicas[0].num_metrics)
        with tf.control_dependencies([combined]):
            self._average()
        return combined

    def _period_of_replica(self, replica: TrainStep, batches: Sample) -> tf.Tensor:
        """Makes the H updates of one replica from its part [H, …] of the batches; returns their rows."""
        return in_turn(
            lambda i: replica.row(batches.at(i)), self._updates_per_period, [replica.row_size(self._replica_batch_size)]
        )

    def _average(self) -> None:
        """Replaces every replica's averaged variables by the means over all replicas."""
        mean = self._mean(self._averaged)
        for replica, device in zip(self._replicas, self._devices, strict=True):
            with tf.device(device):
                variables = self._averaged(replica)
                for name, value in FlatLayout(variables).named_tensors(mean).items():
                    variables[name].assign(value)

    def _mean(self, which: Callable[[TrainStep], Named]) -> tf.Tensor:
        """The mean of these variables over the replicas of all processes, as one vector to need only one exchange."""
        flat = []
        for replica, device in zip(self._replicas, self._devices, strict=True):
            with tf.device(device):
                flat.append(flat_tensor([variable.read_value() for variable in which(replica).values()]))
        mean = tf.add_n(flat) / len(flat)
        if self._strategy is None:
            return mean

        def over_processes() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            here = tf.identity(mean)  # placed on the replica's device, which the exchange relies on
            return context.all_reduce(tf.distribute.ReduceOp.MEAN, here)

        return self._strategy.experimental_local_results(self._strategy.run(over_processes))[0]

    def _averaged(self, replica: TrainStep) -> Named:
        return _floats_of(replica, "online/", "target/", *(["optimizer/"] if self._averages_optimizer else []))


def _slots(replica: TrainStep) -> Named:
    return _floats_of(replica, "optimizer/")


def _floats_of(replica: TrainStep, *parts: str) -> Named:
    variables = replica.named_variables().items()
    return {name: each for name, each in variables if name.startswith(parts) and each.dtype == tf.float32}
