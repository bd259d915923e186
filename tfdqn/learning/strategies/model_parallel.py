"""`ModelParallelUpdater`: data and model parallelism on one process's devices, with explicit placement.

Each row of the mesh of devices is a replica, whose layers are split over the row; the rows divide each batch. It is one
graph without a `tf.distribute` strategy, because MirroredStrategy loses the placement of a layer's pieces.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfdqn.agents.factory import make_agent
from tfdqn.config import Config
from tfdqn.learning.importance import weighted
from tfdqn.learning.many_updates import combined_rows, in_turn, keys_of, split_batches
from tfdqn.learning.train_step import TrainStep
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.interfaces import Sample, Sampler
from tfdqn.task_spec import TaskSpec


class ModelParallelUpdater(Updater):
    """Makes K updates in a call, one after another.

    Args:
      rows: the mesh: D rows of M devices each. With one row there is only model parallelism.
      sampler: gives a sample with leading axis K × batch.
    """

    def __init__(self, config: Config, task_spec: TaskSpec, rows: Sequence[Sequence[str]], sampler: Sampler):
        self._rows = rows
        self._sampler = sampler
        self._priorities = config.priorities
        self._updates = config.learner.updates_per_call
        self._batch_size = config.learner.batch_size
        self._row_batch_size = self._batch_size // len(rows)  # examples that a row gets in an update
        self._replicas: list[TrainStep] = []
        for index, row in enumerate(rows):
            with tf.device(row[0]):
                agent = make_agent(config, task_spec, row)
                self._replicas.append(TrainStep(agent, config, first=index * self._row_batch_size))
        self._call = tf.function(self._fetch_and_update, autograph=False)

    def __call__(self, owed: int | None = None) -> UpdateResult:
        """Makes K updates."""
        rows, keys = self._call()
        network = self._replicas[0].agent.network
        # The weights are not results of the call, since TensorFlow would copy those to the first device.
        weights = network.join({name: piece.numpy() for name, piece in network.named_weights().items()})
        return UpdateResult.of_rows(rows, self._replicas[0].num_metrics, weights, keys)

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
        batches = split_batches(self._sampler(), self._updates, self._batch_size)
        (weighed,) = weighted([batches], self._priorities, first.train_steps)
        rows = in_turn(lambda i: self._update(weighed.at(i)), self._updates, [first.row_size(self._batch_size)])
        return rows, keys_of([batches])

    def _update(self, batch: Sample) -> tf.Tensor:
        """Makes one update of all replicas from a global batch; returns its row."""
        gradients, losses = [], []
        for index, (replica, row) in enumerate(zip(self._replicas, self._rows, strict=True)):
            part = batch.at(slice(index * self._row_batch_size, (index + 1) * self._row_batch_size))
            with tf.device(row[0]):
                gradient, loss_info = replica.gradients(part, 1 / len(self._rows))
            gradients.append(gradient)
            losses.append(loss_info)
        total, norm = self._replicas[0].clipped(_summed(gradients))
        for replica, row in zip(self._replicas, self._rows, strict=True):
            with tf.device(row[0]):
                replica.count(batch)
                replica.apply(total)
        first = self._replicas[0]
        return combined_rows([first.output(loss_info, norm).row() for loss_info in losses], first.num_metrics)


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
