"""Many updates in one call: splits the fetched batches, divides them among devices, and collects the results."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tfdqn.learning.train_step import MAX_Q
from tfdqn.learning.updater import UpdateResult
from tfdqn.networks.q_network import QNetwork
from tfdqn.replay.devices import on
from tfdqn.replay.interfaces import Sample

HOST = "CPU:0"


class CallOutput(NamedTuple):
    """The outputs of a call of K updates, still in TensorFlow."""

    rows: tf.Tensor  # float32[K, …], a row for each update: as of `UpdateOutput.row`, but of the process's whole share
    weights: dict[str, tf.Tensor]  # the online network's, by canonical name, after the last update
    keys: tf.Tensor | None  # of the examples, as `keys_of`; None: sampling is uniform

    @classmethod
    def after(cls, rows: tf.Tensor, network: QNetwork, keys: tf.Tensor | None) -> "CallOutput":
        """The output of the updates that gave `rows`: to be called in the graph, once they are made."""
        return cls(rows, {name: tf.identity(weight) for name, weight in network.named_weights().items()}, keys)

    def in_numpy(self, num_metrics: int) -> UpdateResult:
        """The result in NumPy; rows begin with so many metrics.

        The outputs of a call are in memory. To read variables instead would release and reacquire the GIL for each of
        them, in competition with an actor.
        """
        weights = {name: weight.numpy() for name, weight in self.weights.items()}
        return UpdateResult.of_rows(self.rows, num_metrics, weights, self.keys)


def split_batches(sample: Sample, *shape: int) -> Sample:
    """Splits the leading axis N into the axes `shape`, whose product is N."""
    return sample.map(lambda x: tf.reshape(x, [*shape, *x.shape[1:]]))


def keys_of(parts: Sequence[Sample]) -> tf.Tensor | None:
    """The keys int64[K, …, B, …] of all parts of the batches, concatenated; None if sampling is uniform."""
    draws = [part.draw for part in parts]
    return None if None in draws else tf.concat([draw.keys for draw in draws if draw is not None], axis=1)


def divided(batches: Sample, devices: Sequence[str | None], axis: int = 1) -> list[Sample]:
    """Divides batches […, R, …] on the host along `axis` into R parts, each copied directly to its device."""

    def copied(index: int, device: str | None) -> Sample:
        with tf.device(HOST):
            part = batches.map(lambda x: tf.gather(x, index, axis=axis))
        with on(device):
            return part.map(tf.identity)

    return [copied(index, device) for index, device in enumerate(devices)]


def in_turn(compute: Callable[[tf.Tensor], tf.Tensor], count: int, shape: Sequence[int]) -> tf.Tensor:
    """Calls `compute` with 0, 1, … in a loop of the graph; returns its results, float32 of `shape`, stacked."""
    results = tf.TensorArray(tf.float32, count, element_shape=shape)

    def one(i: tf.Tensor, results: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        return i + 1, results.write(i, compute(i))

    _, results = tf.while_loop(lambda i, _: i < count, one, [0, results], maximum_iterations=count)
    return results.stack()


def each_at(index: tf.Tensor, parts: Sequence[Sample], devices: Sequence[str | None]) -> list[Sample]:
    """Takes element `index` of the leading axis of each part, on its device."""

    def taken(part: Sample, device: str | None) -> Sample:
        with on(device):
            return part.at(index)

    return [taken(part, device) for part, device in zip(parts, devices, strict=True)]


def combined_rows(rows: Sequence[tf.Tensor], num_metrics: int) -> tf.Tensor:
    """Combines the rows float32[…, M + B] of replicas, each of its part of a batch, into rows of whole batches.

    The M metrics are averaged, except `max_q`, which is the maximum. A row is one tensor, since tensors are sent one by
    one.
    """
    is_maximum = [column == MAX_Q for column in range(num_metrics)]
    metrics = [row[..., :num_metrics] for row in rows]
    combined = tf.where(is_maximum, tf.reduce_max(metrics, axis=0), tf.reduce_mean(metrics, axis=0))
    return tf.concat([combined, *(row[..., num_metrics:] for row in rows)], axis=-1)
