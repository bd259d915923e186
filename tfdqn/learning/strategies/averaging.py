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

from tfdqn.config import Config
from tfdqn.learning.flat_vector import FlatLayout, flat_tensor
from tfdqn.learning.importance import weighted
from tfdqn.learning.many_updates import HOST, combined_rows, divided, each_at, split_batches, update_in_turn
from tfdqn.learning.strategies.synchronous import keys_of, least_of_processes, num_processes, uses_xla
from tfdqn.learning.train_step import TrainStep
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.interfaces import Sample, Sampler

Named = dict[str, tf.Variable]


class AveragingUpdater(Updater):
    """K updates of every replica, with an average after every H updates.

    Args:
      make_train_step: makes a replica's train step; called once on each device.
      sampler: gives a sample with leading axis K × B, B being this process's share of the global batch.
      strategy: a MultiWorkerMirroredStrategy averages over its processes too; None: there is only this process.
    """

    def __init__(
        self,
        make_train_step: Callable[[], TrainStep],
        devices: Sequence[str],
        sampler: Sampler,
        config: Config,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self._devices = devices
        self._sampler = sampler
        self._priorities = config.priorities
        self._strategy = strategy
        processes = num_processes(strategy)
        settings = config.learner
        self._period = settings.averaging_period_train_steps
        self._periods = settings.updates_per_call // self._period
        self._batch_size = settings.batch_size // processes // len(devices)
        self._averages_optimizer = settings.average_optimizer
        self._replicas: list[TrainStep] = []
        process = 0 if strategy is None else strategy.cluster_resolver.task_id
        for index, device in enumerate(devices):
            with tf.device(device):
                self._replicas.append(make_train_step())
            self._replicas[-1].first = (process * len(devices) + index) * self._batch_size
        self._many = [
            tf.function(
                partial(update_in_turn, replica.row, replica.row_size(self._batch_size)),
                jit_compile=uses_xla(config),
                autograph=False,
            )
            for replica in self._replicas
        ]
        self._call = tf.function(self._fetch_and_update, autograph=False)
        self._mean_slots = tf.function(lambda: self._mean(_slots), autograph=False)

    def __call__(self, owed: int | None = None) -> UpdateResult:
        """Makes K updates of every replica."""
        rows, weights, keys = self._call()
        named = {name: value.numpy() for name, value in weights.items()}
        return UpdateResult.of_rows(rows, named, keys)

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

    def _fetch_and_update(self) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor | None]:
        """Returns (rows float32[K, …], the mean weights, the keys int64[K, R · B, …] of the sampled examples)."""
        updates, replicas = self._periods * self._period, len(self._replicas)
        with tf.device(HOST):
            sampled = [split_batches(self._sampler(), updates, replicas, self._batch_size)]
            # Weighted as a whole batch, as if one replica had all of it.
            least_of_all = partial(least_of_processes, self._strategy)
            (shares,) = weighted(sampled, self._priorities, self._replicas[0].train_steps, least_of_all)
            shares = shares.map(lambda x: tf.reshape(x, [self._periods, self._period, *x.shape[1:]]))
        parts = divided(shares, self._devices, axis=2)
        row_size = self._replicas[0].row_size(replicas * self._batch_size)
        rows = tf.TensorArray(tf.float32, self._periods, element_shape=[self._period, row_size])

        def one_period(i: tf.Tensor, rows: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            of_period = self._update_replicas(each_at(i, parts, self._devices))
            with tf.control_dependencies([of_period]):
                self._average()
            return i + 1, rows.write(i, of_period)

        _, rows = tf.while_loop(lambda i, _: i < self._periods, one_period, [0, rows], maximum_iterations=self._periods)
        weights = self._replicas[0].agent.network.named_weights()
        return (
            tf.reshape(rows.stack(), [updates, row_size]),
            {name: tf.identity(weight) for name, weight in weights.items()},
            keys_of(sampled),
        )

    def _update_replicas(self, parts: Sequence[Sample]) -> tf.Tensor:
        """Makes H updates of every replica, in parallel; returns their combined rows, float32[H, …]."""
        rows = []
        for many, device, part in zip(self._many, self._devices, parts, strict=True):
            with tf.device(device):
                rows.append(many(part))
        return combined_rows(rows)

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
