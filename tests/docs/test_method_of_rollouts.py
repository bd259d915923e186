"""The page's equations of PQN, each transcribed into NumPy."""

import numpy as np
import tensorflow as tf

from tests.support.method_page import equation
from tfdqn.agents.losses.pqn import lambda_returns
from tfdqn.config import RAdam
from tfdqn.learning.optimizers import create_slots, make_optimizer


@equation(31, "tfdqn.agents.losses.pqn.lambda_returns")
def test_the_lambda_return() -> None:
    rng, steps = np.random.default_rng(1), 9
    r, v = rng.normal(size=(2, steps, 4))
    gamma, lambda_ = 0.9 * (rng.random((steps, 4)) < 0.8), 0.7 * (rng.random((steps, 4)) < 0.8)
    expected = np.concatenate([np.zeros((steps, 4)), v[-1:]])
    for t in range(steps - 1, -1, -1):
        expected[t] = r[t] + gamma[t] * ((1 - lambda_[t]) * v[t] + lambda_[t] * expected[t + 1])
    np.testing.assert_allclose(lambda_returns(r, gamma, v, lambda_), expected[:-1], rtol=1e-12)


@equation(32, "tfdqn.learning.optimizers.RectifiedAdam")
def test_radam() -> None:
    alpha, beta_1, beta_2, epsilon = 0.1, 0.7, 0.95, 1e-2
    optimizer = make_optimizer(RAdam(learning_rate=alpha, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon))
    theta, m, u = 1.0, 0.0, 0.0
    weight = tf.Variable([theta])
    create_slots(optimizer, [weight])
    most = 2 / (1 - beta_2) - 1
    for t, g in enumerate(np.random.default_rng(1).normal(size=20), start=1):
        optimizer.apply_gradients([(tf.constant([g], tf.float32), weight)])
        m, u = beta_1 * m + (1 - beta_1) * g, beta_2 * u + (1 - beta_2) * g**2
        rho, factor = most - 2 * t * beta_2**t / (1 - beta_2**t), 1.0
        if rho > 5:
            r = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
            factor = r / (np.sqrt(u / (1 - beta_2**t)) + epsilon)
        theta -= alpha * m / (1 - beta_1**t) * factor
        np.testing.assert_allclose(weight, [theta], rtol=1e-5)
