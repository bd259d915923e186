"""`ModelParallelUpdater`: data and model parallelism on one process's devices, with explicit placement.

Each row of the mesh of devices is a replica, whose layers are split over the row; the rows divide each batch. It is one
graph without a `tf.distribute` strategy, because MirroredStrategy loses the placement of a layer's pieces.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.learning.importance import weighted
from tfdqn.learning.many_updates import combined_rows, split_batches, update_in_turn
from tfdqn.learning.strategies.synchronous import keys_of
from tfdqn.learning.train_step import TrainStep
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.interfaces import Sample, Sampler


class ModelParallelUpdater(Updater):
    """Makes K updates in a call, one after another.

    Args:
      make_train_step: makes the train step of a row, whose layers are split over the given devices.
      rows: the mesh: D rows of M devices each. With one row there is only model parallelism.
      sampler: gives a sample with leading axis K × batch.
    """

    def __init__(
        self,
        make_train_step: Callable[[Sequence[str]], TrainStep],
        rows: Sequence[Sequence[str]],
        sampler: Sampler,
        config: Config,
    ):
        self._rows = rows
        self._sampler = sampler
        self._priorities = config.priorities
        self._updates = config.learner.updates_per_call
        self._batch_size = config.learner.batch_size
        self._replicas: list[TrainStep] = []
        for index, row in enumerate(rows):
            with tf.device(row[0]):
                self._replicas.append(make_train_step(row))
            self._replicas[-1].first = index * (self._batch_size // len(rows))
        self._call = tf.function(self._fetch_and_update, autograph=False)

    def __call__(self, owed: int | None = None) -> UpdateResult:
        """Makes K updates."""
        rows, keys = self._call()
        network = self._replicas[0].agent.network
        # The weights are not results of the call, since TensorFlow would copy those to the first device.
        weights = network.join({name: piece.numpy() for name, piece in network.named_weights().items()})
        return UpdateResult.of_rows(rows, weights, keys)

    def trace(self) -> None:
        self._call.get_concrete_function()

    def state(self) -> dict[str, np.ndarray]:
        return self._replicas[0].state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        for replica in self._replicas:
            replica.load_state(arrays)

    def bytes_by_device(self) -> dict[str, int]:
        """The bytes of weights, target weights and optimizer on each device ("CPU:1")."""
        held: dict[str, int] = {}
        for replica in self._replicas:
            for variable in replica.named_variables().values():
                device = ":".join(variable.device.split(":")[-2:])
                held[device] = held.get(device, 0) + variable.shape.num_elements() * variable.dtype.size
        return held

    def _fetch_and_update(self) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns (rows float32[K, …], the keys int64[K, B, …] of the sampled examples)."""
        first = self._replicas[0]
        batches = [split_batches(self._sampler(), self._updates, self._batch_size)]
        shares = weighted(batches, self._priorities, first.train_steps)
        return update_in_turn(self._update, first.row_size(self._batch_size), *shares), keys_of(batches)

    def _update(self, batch: Sample) -> tf.Tensor:
        """Makes one update of all replicas from a global batch; returns its row."""
        size = self._batch_size // len(self._rows)
        gradients, losses = [], []
        for index, (replica, row) in enumerate(zip(self._replicas, self._rows, strict=True)):
            share = batch.map(lambda x, index=index: x[index * size : (index + 1) * size])  # type: ignore[misc]
            with tf.device(row[0]):
                gradient, loss_info = replica.gradients(share, 1 / len(self._rows))
            gradients.append(gradient)
            losses.append(loss_info)
        total, norm = self._replicas[0].clipped(_summed(gradients))
        for replica, row in zip(self._replicas, self._rows, strict=True):
            with tf.device(row[0]):
                replica.count(batch)
                replica.apply(total)
        return combined_rows([self._replicas[0].output(loss_info, norm).row() for loss_info in losses])


def _summed(gradients: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
    """The sum of the replicas' gradients. Each piece is summed on the device that has the least to sum so far.

    If one row summed them all, all traffic would go through its connections.
    """
    loads: Counter[str] = Counter()
    sums = []
    for pieces in zip(*gradients, strict=True):
        place = min((piece.device for piece in pieces), key=loads.__getitem__)
        loads[place] += pieces[0].shape.num_elements()
        with tf.device(place):
            sums.append(tf.add_n(pieces))
    return sums
