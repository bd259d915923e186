"""Many updates in one call: splits the fetched batches, divides them among devices, and collects the results."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfdqn.learning.train_step import METRICS, UpdateMetrics
from tfdqn.replay.devices import on
from tfdqn.replay.interfaces import Sample

HOST = "CPU:0"


def update_in_turn(
    update: Callable[..., tf.Tensor], row_size: int, *batches: Sample, devices: Sequence[str | None] = (None,)
) -> tf.Tensor:
    """Makes K updates from batches [K, B, …]; returns a row of results for each, float32[K, row_size].

    Args:
      update: makes one update from a batch, or from all its parts, and returns its row.
      devices: the parts' devices, on which they stay.
    """
    count = batches[0].size
    rows = tf.TensorArray(tf.float32, count, element_shape=[row_size])

    def one(i: tf.Tensor, rows: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        return i + 1, rows.write(i, update(*each_at(i, batches, devices)))

    _, rows = tf.while_loop(lambda i, _: i < count, one, [0, rows], maximum_iterations=count)
    return rows.stack()


def each_at(index: tf.Tensor, parts: Sequence[Sample], devices: Sequence[str | None]) -> list[Sample]:
    """Takes element `index` of the leading axis of each part, on its device."""

    def taken(part: Sample, device: str | None) -> Sample:
        with on(device):
            return part.map(lambda x: x[index])

    return [taken(part, device) for part, device in zip(parts, devices, strict=True)]


def split_batches(sample: Sample, *shape: int) -> Sample:
    """Splits the leading axis N into the axes `shape`, whose product is N."""
    return sample.map(lambda x: tf.reshape(x, [*shape, *x.shape[1:]]))


def divided(batches: Sample, devices: Sequence[str | None], axis: int = 1) -> list[Sample]:
    """Divides batches […, R, …] on the host along `axis` into R parts, each copied directly to its device."""

    def copied(index: int, device: str | None) -> Sample:
        with tf.device(HOST):
            part = batches.map(lambda x: tf.gather(x, index, axis=axis))
        with on(device):
            return part.map(tf.identity)

    return [copied(index, device) for index, device in enumerate(devices)]


def combined_rows(rows: Sequence[tf.Tensor]) -> tf.Tensor:
    """Combines the rows float32[…, METRICS + B] of replicas, each of its part of a batch, into rows of whole batches.

    Metrics are averaged, except `max_q`, which is the maximum. A row is one tensor, since tensors are sent one by one.
    """
    is_maximum = [name == "max_q" for name in UpdateMetrics._fields]
    metrics = [row[..., :METRICS] for row in rows]
    combined = tf.where(is_maximum, tf.reduce_max(metrics, axis=0), tf.reduce_mean(metrics, axis=0))
    return tf.concat([combined, *(row[..., METRICS:] for row in rows)], axis=-1)
