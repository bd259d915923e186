"""`update_in_turn`: one update after another in the graph, over batches that were fetched together."""

from collections.abc import Callable

import tensorflow as tf

from tfdqn.learning.train_step import UpdateMetrics
from tfdqn.replay.interfaces import Sample

METRICS = len(UpdateMetrics._fields)


def update_in_turn(update: Callable[..., UpdateMetrics], *batches: Sample) -> tf.Tensor:
    """K updates from batches [K, B, …], or parts of them; gives their metrics float32[K, METRICS]."""
    count = batches[0].transition.next_time_step.reward.shape[0]
    history = tf.TensorArray(tf.float32, count, element_shape=[METRICS])

    def one(i: tf.Tensor, history: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        metrics = update(*(part.map(lambda x: x[i]) for part in batches))
        return i + 1, history.write(i, tf.stack(metrics))

    _, history = tf.while_loop(lambda i, _: i < count, one, [0, history], maximum_iterations=count)
    return history.stack()


def split_batches(sample: Sample, *shape: int) -> Sample:
    """Leading axis N → leading axes `shape`, whose product N is."""
    return sample.map(lambda x: tf.reshape(x, [*shape, *x.shape[1:]]))


def combined_metrics(metrics: list[tf.Tensor]) -> tf.Tensor:
    """Metrics float32[…, METRICS] of several replicas or members as one: means, but for the maximum of `max_q`."""
    is_maximum = [name == "max_q" for name in UpdateMetrics._fields]
    return tf.where(is_maximum, tf.reduce_max(metrics, axis=0), tf.reduce_mean(metrics, axis=0))
