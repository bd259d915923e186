"""RAdam against algorithm 2 of its paper, word for word in float64."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.config import RAdam
from tfdqn.learning.optimizers import create_slots, make_optimizer


def slow_radam(weight: np.ndarray, gradients: np.ndarray, settings: RAdam) -> list[np.ndarray]:
    """The weights after each update."""
    m, v, after = np.zeros_like(weight), np.zeros_like(weight), []
    longest = 2 / (1 - settings.beta_2) - 1
    for t, gradient in enumerate(gradients, start=1):
        m = settings.beta_1 * m + (1 - settings.beta_1) * gradient
        v = settings.beta_2 * v + (1 - settings.beta_2) * gradient**2
        unbiased = m / (1 - settings.beta_1**t)
        length = longest - 2 * t * settings.beta_2**t / (1 - settings.beta_2**t)
        step = unbiased
        if length > 5:
            r = np.sqrt(((length - 4) * (length - 2) * longest) / ((longest - 4) * (longest - 2) * length))
            step = r * unbiased / (np.sqrt(v / (1 - settings.beta_2**t)) + settings.epsilon)
        weight = weight - settings.learning_rate * step
        after.append(weight)
    return after


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("beta_2", [0.999, 0.9, 0.5])  # rectified from update 6 on, both; and never
def test_radam_is_its_papers_algorithm(beta_2: float, compiled: bool) -> None:
    settings = RAdam(learning_rate=0.01, beta_1=0.8, beta_2=beta_2, epsilon=1e-3)
    rng = np.random.default_rng(1)
    start, gradients = rng.normal(size=(3, 2)), rng.normal(size=(30, 3, 2)) * 10.0 ** rng.integers(-3, 3, (30, 1, 1))
    weight, optimizer = tf.Variable(start, dtype=tf.float32), make_optimizer(settings)
    update = tf.function(lambda g: optimizer.apply_gradients([(g, weight)]) and None, jit_compile=compiled)
    create_slots(optimizer, [weight])
    for gradient, expected in zip(gradients, slow_radam(start, gradients, settings), strict=True):
        update(tf.constant(gradient, tf.float32))
        np.testing.assert_allclose(weight, expected, rtol=2e-5, atol=1e-6)
