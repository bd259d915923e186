"""Optimizers by name, with their learning-rate schedules and their slots under canonical names; clipping of gradients.

These are Keras's `legacy` optimizers, which update a variable by one fused kernel. The newer ones issue some fifteen
operations (1.5 times slower per update of a small network without XLA).
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tfdqn import config

legacy = tf.keras.optimizers.legacy


def make_optimizer(settings: config.Optimizer) -> tf.keras.optimizers.legacy.Optimizer:
    """Makes the optimizer of `[optimizer]`. Its learning rate is a function of its own count of updates."""
    rate = learning_rate_schedule(settings)
    if isinstance(settings, config.Adam):
        return legacy.Adam(rate, settings.beta_1, settings.beta_2, settings.epsilon)
    if isinstance(settings, config.RAdam):
        return RectifiedAdam(rate, settings.beta_1, settings.beta_2, settings.epsilon)
    if isinstance(settings, config.RMSprop):
        # Keras uses its fused kernel, whose epsilon is inside the root as in the paper's code, only if there is a
        # momentum; for a momentum of 0.0 it adds epsilon outside. A callable counts as one, even if it returns 0.
        return legacy.RMSprop(rate, settings.decay, lambda: settings.momentum, settings.epsilon, settings.centered)
    return legacy.SGD(rate, settings.momentum)


def learning_rate_schedule(settings: config.Optimizer) -> float | tf.keras.optimizers.schedules.LearningRateSchedule:
    """Makes the schedule from `learning_rate` to `end_learning_rate` over `decay_train_steps`, or a constant."""
    start, end, steps = settings.learning_rate, settings.end_learning_rate, settings.decay_train_steps
    if settings.schedule == "linear":
        return tf.keras.optimizers.schedules.PolynomialDecay(start, steps, end)
    if settings.schedule == "exponential":
        return _ExponentialDecay(start, end, steps)
    return start


def named_slots(
    optimizer: tf.keras.optimizers.legacy.Optimizer, weights: dict[str, tf.Variable]
) -> dict[str, tf.Variable]:
    """The optimizer's state by canonical name: "iterations", and "m/hidden_0/kernel" for slot m of a weight."""
    slots = {
        f"{slot}/{name}": optimizer.get_slot(weight, slot)
        for slot in sorted(optimizer.get_slot_names())
        for name, weight in weights.items()
    }
    return {"iterations": optimizer.iterations, **slots}


def create_slots(optimizer: tf.keras.optimizers.legacy.Optimizer, weights: list[tf.Variable]) -> None:
    """Creates every slot variable now, so that a checkpoint can be restored before the first update."""
    optimizer.iterations  # noqa: B018  (a property that creates the counter)
    optimizer._create_hypers()
    optimizer._create_slots(weights)


class RectifiedAdam(tf.keras.optimizers.legacy.Adam):
    """RAdam, algorithm 2 of Liu et al. 2020. With Adam's m̂ and v̂ at update t, counted from 1:

    ρ∞ = 2 / (1 − β₂) − 1,   ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ),   r² = (ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ)

    θ ← θ − α r m̂ / (√v̂ + ε) if ρ > 5, as in PyTorch and Optax (4 in the paper), else θ ← θ − α m̂.

    Adam's fused kernel computes both, θ ← θ − α' √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε'), with suitable α' and ε'.
    """

    _FLAT = 1e20  # an ε' so large that √v doesn't matter

    def _prepare_local(self, var_device: str, var_dtype: tf.DType, apply_state: Any) -> None:
        super()._prepare_local(var_device, var_dtype, apply_state)
        beta_2 = tf.cast(self._get_hyper("beta_2"), tf.float64)
        step = tf.cast(self.iterations + 1, tf.float64)  # in float32, ρ would cancel out at the first updates
        power = beta_2**step
        longest = 2 / (1 - beta_2) - 1
        length = longest - 2 * step * power / (1 - power)
        square = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        bias = tf.sqrt(1 - power)
        is_rectified = length > 5  # selected by `where`: a `tf.cond` would make the host wait for the GPU
        rate = tf.where(is_rectified, tf.sqrt(square), self._FLAT / bias)
        epsilon = tf.where(is_rectified, self.epsilon * bias, self._FLAT)
        coefficients = apply_state[var_device, var_dtype]
        coefficients["lr_t"] *= tf.cast(rate, var_dtype)
        coefficients["epsilon"] = tf.cast(epsilon, var_dtype)


class _ExponentialDecay(tf.keras.optimizers.schedules.LearningRateSchedule):
    """start · (end / start)^(t / steps) up to t = steps, then end."""

    def __init__(self, start: float, end: float, steps: int):
        self._start, self._log_ratio, self._steps = start, float(np.log(end / start)), steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        fraction = tf.minimum(tf.cast(step, tf.float32) / self._steps, 1.0)
        return self._start * tf.exp(self._log_ratio * fraction)


def clipped(gradients: list[tf.Tensor], max_norm: float, members: int = 1) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Clips gradients by their global norm: returns (g · min(1, max_norm / ‖g‖), ‖g‖ float32).

    If `max_norm` is 0, nothing is clipped. With several members, every gradient has a leading axis of members. Each
    member is clipped by its own norm, as if it were alone, and the returned norm is their mean.
    """
    if members > 1:
        return _clipped_apart(gradients, max_norm)
    norm = tf.linalg.global_norm(gradients)
    if max_norm:
        gradients, _ = tf.clip_by_global_norm(gradients, max_norm, norm)
    return gradients, norm


def _clipped_apart(gradients: list[tf.Tensor], max_norm: float) -> tuple[list[tf.Tensor], tf.Tensor]:
    squares = [tf.reduce_sum(tf.square(each), axis=tuple(range(1, each.shape.rank))) for each in gradients]
    norms = tf.sqrt(tf.add_n(squares))
    if max_norm:
        # As in tf.clip_by_global_norm, gradients that are not finite stay so, since inf · 0 is NaN.
        factors = max_norm / tf.maximum(norms, max_norm)
        gradients = [each * tf.reshape(factors, [-1] + [1] * (each.shape.rank - 1)) for each in gradients]
    return gradients, tf.reduce_mean(norms)
