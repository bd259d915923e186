"""docs/method.md, section 18: observations and rewards by running statistics, transcribed into NumPy."""

import numpy as np
import tensorflow as tf

from tests.support.method_page import equation
from tfdqn.networks.layers.statistics import Moments, RunningStatistics, merged
from tfdqn.tasks.adapters.learning_signal import RunningScale
from tfdqn.types import Step

RNG = np.random.default_rng(1)


@equation(45, "tfdqn.networks.layers.statistics.RunningStatistics.call")
def test_equation_45_normalised_observations() -> None:
    layer = RunningStatistics((), 4, "x_statistics")
    m, v = RNG.normal(size=4).astype(np.float32), RNG.gamma(1.0, size=4).astype(np.float32)
    layer.mean.assign(m)
    layer.variance.assign(v)
    x = 5 * RNG.normal(size=(30, 4)).astype(np.float32)
    expected = np.clip((x - m) / np.sqrt(v + 1e-8), -10, 10)
    assert 0 < (np.abs(expected) == 10).mean() < 1
    np.testing.assert_allclose(layer(tf.constant(x)), expected, rtol=1e-4, atol=1e-5)


@equation(46, "tfdqn.networks.layers.statistics.merged")
def test_equation_46_merged_moments() -> None:
    (m, m_), (v, v_) = RNG.normal(size=(2, 3)), RNG.gamma(1.0, size=(2, 3))
    k, n = 7.0, 4.0
    found = merged(*(Moments(*(tf.constant(each, tf.float32) for each in of)) for of in ((m, v, k), (m_, v_, n))))
    expected_m = m + n / (k + n) * (m_ - m)
    expected_v = k / (k + n) * v + n / (k + n) * v_ + k * n / (k + n) ** 2 * (m_ - m) ** 2
    for ours, theirs in zip(found, (expected_m, expected_v, k + n), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@equation(47, "tfdqn.tasks.adapters.learning_signal.RunningScale")
def test_equation_47_scaled_rewards() -> None:
    scale, g, returns = RunningScale(0.8, 2), np.zeros(2), []
    nothing = np.zeros(2, bool)
    for _ in range(200):
        r = RNG.normal(3.0, 2.0, 2).astype(np.float32)
        ends = RNG.random(2) < 0.1
        g = 0.8 * g + r
        returns.extend(g)
        found = scale(Step({}, r, ends, nothing, nothing, None))
        np.testing.assert_allclose(found, r / np.sqrt(np.var(returns) + 1e-8), rtol=1e-3)
        g[ends] = 0
