"""The update in NumPy: the linear network's gradient, and each optimizer as its paper states it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfdqn import config


class Batch(NamedTuple):
    """Transitions of a vector task, float64, and importance weights."""

    phi_tm1: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    phi_t: np.ndarray
    weights: np.ndarray


def gradient(theta: np.ndarray, target_theta: np.ndarray, batch: Batch) -> np.ndarray:
    """Of the mean of w · δ² / 2 by θ, for DQN: −(1/B) Σ w δ φ(s) e_aᵀ."""
    target = batch.reward + batch.discount * (batch.phi_t @ target_theta).max(axis=1)
    rows = np.arange(len(batch.action))
    td_error = target - (batch.phi_tm1 @ theta)[rows, batch.action]
    errors = np.zeros((len(rows), theta.shape[1]))
    errors[rows, batch.action] = batch.weights * td_error
    return -batch.phi_tm1.T @ errors / len(rows)


def clipped(gradient: np.ndarray, norm: float) -> np.ndarray:
    return gradient * min(1, norm / np.linalg.norm(gradient)) if norm else gradient


def optimizer(settings: config.Optimizer) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(weights, gradient) → new weights; remembers its moments from call to call."""
    if isinstance(settings, config.SGD):
        return _sgd(settings)
    return _rmsprop(settings) if isinstance(settings, config.RMSprop) else _adam(settings)


def _sgd(settings: config.SGD) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    velocity = np.zeros(())

    def apply(theta: np.ndarray, g: np.ndarray) -> np.ndarray:
        nonlocal velocity
        velocity = settings.momentum * velocity - settings.learning_rate * g
        return theta + velocity

    return apply


def _adam(settings: config.Adam) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Kingma and Ba 2015, end of section 2: the efficient order, with epsilon beside the uncorrected root."""
    m, v, t = np.zeros(()), np.zeros(()), 0

    def apply(theta: np.ndarray, g: np.ndarray) -> np.ndarray:
        nonlocal m, v, t
        t += 1
        m = settings.beta_1 * m + (1 - settings.beta_1) * g
        v = settings.beta_2 * v + (1 - settings.beta_2) * g**2
        rate = settings.learning_rate * np.sqrt(1 - settings.beta_2**t) / (1 - settings.beta_1**t)
        return theta - rate * m / (np.sqrt(v) + settings.epsilon)

    return apply


def _rmsprop(settings: config.RMSprop) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Mnih et al. 2015 (their code): g / √(mean of g² − (mean of g)² + epsilon), epsilon inside the root."""
    square, mean, velocity = np.zeros(()), np.zeros(()), np.zeros(())

    def apply(theta: np.ndarray, g: np.ndarray) -> np.ndarray:
        nonlocal square, mean, velocity
        square = settings.decay * square + (1 - settings.decay) * g**2
        mean = settings.decay * mean + (1 - settings.decay) * g
        root = np.sqrt(square - (mean**2 if settings.centered else 0) + settings.epsilon)
        velocity = settings.momentum * velocity + settings.learning_rate * g / root
        return theta - velocity

    return apply
