"""Optimisers by name, with their learning-rate schedules and their slots under canonical names.

Keras's `legacy` optimisers are meant: each variable's whole update is one fused kernel there, where the
newer ones issue some fifteen operations (1.5 times slower per update of a small network without XLA).
"""

import numpy as np
import tensorflow as tf

from tfdqn import config

legacy = tf.keras.optimizers.legacy


def make_optimizer(settings: config.Optimizer) -> tf.keras.optimizers.legacy.Optimizer:
    """The optimiser of `[optimizer]`, its learning rate a function of its own count of updates."""
    rate = learning_rate_schedule(settings)
    if isinstance(settings, config.Adam):
        return legacy.Adam(rate, settings.beta_1, settings.beta_2, settings.epsilon)
    if isinstance(settings, config.RMSprop):
        # Keras takes its fused kernel, whose epsilon is inside the root as in the paper's code, only where there
        # is a momentum; with plain 0.0 it adds epsilon outside. A function counts as one, whatever it gives.
        return legacy.RMSprop(
            rate, settings.decay, lambda: settings.momentum, settings.epsilon, settings.centered
        )
    return legacy.SGD(rate, settings.momentum)


def learning_rate_schedule(
    settings: config.Optimizer,
) -> float | tf.keras.optimizers.schedules.LearningRateSchedule:
    """Constant, linear, or exponential from `learning_rate` to `end_learning_rate` over `decay_train_steps`."""
    start, end, steps = settings.learning_rate, settings.end_learning_rate, settings.decay_train_steps
    if settings.schedule == "linear":
        return tf.keras.optimizers.schedules.PolynomialDecay(start, steps, end)
    if settings.schedule == "exponential":
        return _ExponentialDecay(start, end, steps)
    return start


def named_slots(
    optimizer: tf.keras.optimizers.legacy.Optimizer, weights: dict[str, tf.Variable]
) -> dict[str, tf.Variable]:
    """The optimiser's state by canonical name: "iterations", and "m/hidden_0/kernel" for slot m of a weight."""
    slots = {
        f"{slot}/{name}": optimizer.get_slot(weight, slot)
        for slot in sorted(optimizer.get_slot_names())
        for name, weight in weights.items()
    }
    return {"iterations": optimizer.iterations, **slots}


def create_slots(optimizer: tf.keras.optimizers.legacy.Optimizer, weights: list[tf.Variable]) -> None:
    """Makes every slot variable now, so that a checkpoint can be restored before the first update."""
    optimizer.iterations  # noqa: B018  (a property that creates the counter)
    optimizer._create_hypers()
    optimizer._create_slots(weights)


class _ExponentialDecay(tf.keras.optimizers.schedules.LearningRateSchedule):
    """start · (end / start)^(t / steps) up to t = steps, then end."""

    def __init__(self, start: float, end: float, steps: int):
        self._start, self._log_ratio, self._steps = start, float(np.log(end / start)), steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        fraction = tf.minimum(tf.cast(step, tf.float32) / self._steps, 1.0)
        return self._start * tf.exp(self._log_ratio * fraction)

    def get_config(self) -> dict:
        return {"start": self._start, "log_ratio": self._log_ratio, "steps": self._steps}
