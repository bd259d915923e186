"""`SynchronousUpdates`: many updates in one call into TensorFlow, their batches fetched inside it.

A call costs 150 to 300 µs whatever it does, and an update of a small network not much more: so one call makes
K of them. XLA then fuses the whole loop (1.5 to 2 times faster for dense networks on CPU, far slower for
convolutions there).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import Config, NatureCNN
from tfdqn.learning.train_step import TrainStep, UpdateMetrics
from tfdqn.replay.items import Sample


class Updated(NamedTuple):
    """What a call's updates gave."""

    metrics: UpdateMetrics  # NumPy float32[K] each
    weights: dict[str, np.ndarray]  # the online network's, by canonical name, after the last update
    keys: np.ndarray | None  # of the items sampled, uint64[K × B]; None where there are none
    td_errors: np.ndarray | None  # float32[K × B], beside the keys


class SynchronousUpdates:
    """K updates, one after another, on this process's default device.

    Args:
      train_step: the update.
      sampler: called in the graph; gives a sample with leading axis K × batch.
      config: `learner` gives K, the batch and XLA.
    """

    def __init__(self, train_step: TrainStep, sampler: Callable[[], Sample], config: Config):
        self._train_step = train_step
        self._sampler = sampler
        self._updates = config.learner.updates_per_call
        self._batch_size = config.learner.batch_size
        # AutoGraph would spend seconds walking TF-Agents' and Keras's code for control flow that isn't there.
        self._many = tf.function(self._loop, jit_compile=uses_xla(config), autograph=False)
        self._call = tf.function(self._fetch_and_update, autograph=False)

    def __call__(self) -> Updated:
        """Makes K updates."""
        history, weights, keys, td_errors = self._call()
        # Outputs of the call are plain memory here. Reading the variables afterwards would give up and retake
        # Python's lock once for each, against an actor that wants it too.
        return Updated(
            UpdateMetrics(*history.numpy().T),
            {name: value.numpy() for name, value in weights.items()},
            None if keys is None else keys.numpy(),
            None if td_errors is None else td_errors.numpy(),
        )

    def _fetch_and_update(self) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor | None, tf.Tensor | None]:
        sample = self._sampler()
        history, td_errors = self._many(sample)
        weights = self._train_step.agent.network.named_weights()
        named = {name: tf.identity(weight) for name, weight in weights.items()}
        if sample.keys is None:
            return history, named, None, None
        return history, named, sample.keys, tf.reshape(td_errors, [-1])

    def _loop(self, sample: Sample) -> tuple[tf.Tensor, tf.Tensor]:
        """(metrics float32[K, metrics], TD errors float32[K, B])."""
        batches = _map(lambda x: tf.reshape(x, [self._updates, self._batch_size, *x.shape[1:]]), sample)
        history = tf.TensorArray(tf.float32, self._updates, element_shape=[len(UpdateMetrics._fields)])
        td_errors = tf.TensorArray(tf.float32, self._updates, element_shape=[self._batch_size])

        def update(i: tf.Tensor, history: tf.TensorArray, td_errors: tf.TensorArray) -> tuple:
            metrics, td_error = self._train_step(_map(lambda x: x[i], batches))
            return i + 1, history.write(i, tf.stack(metrics)), td_errors.write(i, td_error)

        _, history, td_errors = tf.while_loop(
            lambda i, *_: i < self._updates,
            update,
            [0, history, td_errors],
            maximum_iterations=self._updates,
        )
        return history.stack(), td_errors.stack()


def _map(function: Callable[[tf.Tensor], tf.Tensor], sample: Sample) -> Sample:
    """`function` of every tensor of a sample; what it has none of stays None."""
    return tf.nest.map_structure(lambda x: None if x is None else function(x), sample)


def uses_xla(config: Config) -> bool:
    """Whether updates are compiled: as `learner.xla` says; by itself, unless convolutions run on a CPU."""
    if config.learner.xla != "auto":
        return config.learner.xla == "on"
    return not isinstance(config.network, NatureCNN) or bool(tf.config.list_physical_devices("GPU"))
