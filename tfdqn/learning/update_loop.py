"""`update_in_turn`: one update after another in the graph, over batches that were fetched together."""

from collections.abc import Callable

import tensorflow as tf

from tfdqn.learning.train_step import Update, UpdateMetrics
from tfdqn.replay.interfaces import Sample

METRICS = len(UpdateMetrics._fields)


def update_in_turn(update: Callable[..., Update], *batches: Sample) -> tuple[tf.Tensor, tf.Tensor]:
    """K updates from batches [K, B, …], or parts of them: (metrics float32[K, METRICS], TD errors float32[K, B])."""
    shapes = [part.transition.next_time_step.reward.shape for part in batches]
    count, batch_size = shapes[0][0], sum(shape[1] for shape in shapes)
    history = tf.TensorArray(tf.float32, count, element_shape=[METRICS])
    td_errors = tf.TensorArray(tf.float32, count, element_shape=[batch_size])

    def one(i: tf.Tensor, history: tf.TensorArray, td_errors: tf.TensorArray) -> tuple:
        metrics, td_error = update(*(part.map(lambda x: x[i]) for part in batches))
        return i + 1, history.write(i, tf.stack(metrics)), td_errors.write(i, td_error)

    _, history, td_errors = tf.while_loop(
        lambda i, *_: i < count, one, [0, history, td_errors], maximum_iterations=count
    )
    return history.stack(), td_errors.stack()


def split_batches(sample: Sample, *shape: int) -> Sample:
    """Leading axis N → leading axes `shape`, whose product N is."""
    return sample.map(lambda x: tf.reshape(x, [*shape, *x.shape[1:]]))


def combined_metrics(metrics: list[tf.Tensor]) -> tf.Tensor:
    """Metrics float32[…, METRICS] of several replicas or members as one: means, but for the maximum of `max_q`."""
    is_maximum = [name == "max_q" for name in UpdateMetrics._fields]
    return tf.where(is_maximum, tf.reduce_max(metrics, axis=0), tf.reduce_mean(metrics, axis=0))
