"""The values' scale of Pohlen et al. 2018, and DQN and Double DQN on it, against RLax; and where float32 is thin."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.golden_files import golden
from tests.support.loss_outputs import of_tables
from tfdqn.agents.losses.td import rescaled, unscaled
from tfdqn.config import DQN, DoubleDQN, TDAgent

EPSILON = 1e-3  # RLax's, and that of Kapturowski et al. 2019
GOLDEN = golden("rescaling")


def test_it_is_rlaxs_and_so_is_its_inverse() -> None:
    np.testing.assert_allclose(rescaled(tf.constant(GOLDEN["x"]), EPSILON), GOLDEN["h_of_x"], rtol=1e-5, atol=1e-12)
    # RLax itself loses digits near 0, in float64: h⁻¹(x) is near 2x there.
    np.testing.assert_allclose(unscaled(tf.constant(GOLDEN["h"]), EPSILON), GOLDEN["x_of_h"], rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-2, 0.5])
def test_the_inverse_gives_back_what_was_rescaled(epsilon: float) -> None:
    x = np.concatenate([sign * np.logspace(-8, 8, 60) for sign in (-1, 1)]).astype(np.float32)
    there = rescaled(tf.constant(x), epsilon)
    assert (np.diff(np.sort(x)) > 0).all() and (np.abs(there) <= np.abs(x) * (0.5 + epsilon) * 1.00001).all()
    np.testing.assert_allclose(unscaled(there, epsilon), x, rtol=1e-5)


def test_by_hand() -> None:
    # h(3) = 2 − 1 + 0.01 · 3 = 1.03, and h is odd. h(8) = 3 − 1 + 0.08 = 2.08.
    np.testing.assert_allclose(rescaled(tf.constant([3.0, -3.0, 0.0, 8.0]), 0.01), [1.03, -1.03, 0, 2.08], rtol=1e-6)
    np.testing.assert_allclose(unscaled(tf.constant([1.03, -1.03, 0.0, 2.08]), 0.01), [3, -3, 0, 8], rtol=1e-6)


def test_its_slope_at_zero_is_finite() -> None:
    zero = tf.constant(0.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(zero)
        there, back = rescaled(zero, EPSILON), unscaled(zero, EPSILON)
    np.testing.assert_allclose(tape.gradient(there, zero), 0.5 + EPSILON, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(back, zero), 1 / (0.5 + EPSILON), rtol=1e-6)


BATCH = golden("batch")


@pytest.mark.parametrize(("settings", "name"), [(DQN, "error"), (DoubleDQN, "double_error")])
def test_td_errors_are_rlaxs(settings: type[TDAgent], name: str) -> None:
    poison = np.full_like(GOLDEN["q_t"], 1e4)
    select_t = GOLDEN["q_select_t"] if settings is DoubleDQN else poison
    online, target = np.concatenate([GOLDEN["q_tm1"], select_t]), np.concatenate([poison, GOLDEN["q_t"]])
    found = of_tables(settings(value_rescaling=1e-3), online, target, BATCH, None)
    np.testing.assert_allclose(found.td_error, GOLDEN[name], atol=1e-5)
