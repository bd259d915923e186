"""The pure functions of temporal differences, against numbers worked out in comments."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.agents.losses import td

POISON = 1e6


def f32(*values: object) -> tf.Tensor:
    return tf.constant(values, tf.float32)


def test_the_value_of_an_action_is_that_actions_column() -> None:
    q = f32([1, 2, 3], [4, 5, 6])
    np.testing.assert_array_equal(td.value_of_action(q, tf.constant([2, 0])), [3, 4])


def test_the_value_of_an_action_refuses_other_ranks() -> None:
    with pytest.raises(ValueError, match="rank"):
        td.value_of_action(f32(1, 2), tf.constant([0]))
    with pytest.raises(ValueError, match="rank"):
        td.value_of_action(f32([1, 2]), tf.constant(0))


def test_the_dqn_target_bootstraps_from_the_best_target_value() -> None:
    # 1 + 0.5 · max(2, 4) = 3;  -1 + 0 · 7 = -1 (terminated);  0.5 + 0.25 · (-2) = 0
    target = td.q_learning_target(f32(1, -1, 0.5), f32(0.5, 0, 0.25), f32([2, 4], [7, 1], [-2, -3]))
    np.testing.assert_array_equal(target, [3, -1, 0])


def test_double_dqn_takes_its_action_from_the_online_network_and_its_value_from_the_target_network() -> None:
    # The online argmax is 1, then 0. Any other column of the target network is poisoned, and so is the online
    # network's own value: 1 + 0.5 · 3 = 2.5;  2 + 0.5 · (-4) = 0.
    q_target_t = f32([POISON, 3, POISON], [-4, POISON, POISON])
    q_online_t = f32([0, 5 * POISON, 1], [7 * POISON, 2, 3])
    target = td.double_q_target(f32(1, 2), f32(0.5, 0.5), q_target_t, q_online_t)
    np.testing.assert_array_equal(target, [2.5, 0])


def test_double_dqn_takes_the_first_of_equal_actions() -> None:
    target = td.double_q_target(f32(0), f32(1), f32([POISON, 1, 2]), f32([0, 8, 8]))
    np.testing.assert_array_equal(target, [1])


def test_no_target_bootstraps_from_an_illegal_action() -> None:
    legal = tf.constant([[True, False, True], [False, True, False]])
    q_target_t = f32([1, POISON, -2], [POISON, -30, POISON])
    r, discount = f32(0, 0), f32(1, 1)
    np.testing.assert_array_equal(td.q_learning_target(r, discount, q_target_t, legal), [1, -30])
    # The online network likes action 1, then 2: both illegal. Of the legal ones it likes 2, then 1.
    q_online_t = f32([0, POISON, 1], [3, -POISON, POISON])
    np.testing.assert_array_equal(td.double_q_target(r, discount, q_target_t, q_online_t, legal), [-2, -30])


def test_a_terminal_state_without_legal_actions_is_worth_nothing() -> None:
    legal = tf.constant([[False, False]])
    args = (f32(3), f32(0), f32([1, 2]))
    np.testing.assert_array_equal(td.q_learning_target(*args, legal), [3])
    np.testing.assert_array_equal(td.double_q_target(*args, f32([1, 2]), legal), [3])


def test_the_squared_loss_is_halved() -> None:
    np.testing.assert_array_equal(td.squared_loss(f32(0, 1, -3)), [0, 0.5, 4.5])


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        # δ² / 2 up to delta, then delta · (|δ| - delta / 2): 1 · (3 - 0.5) = 2.5
        (1.0, [0, 0.125, 0.5, 2.5, 2.5]),
        # 2² / 2 is not reached by 1; 2 · (3 - 1) = 4
        (2.0, [0, 0.125, 0.5, 4.0, 4.0]),
    ],
)
def test_the_huber_loss_is_quadratic_then_linear(delta: float, expected: list[float]) -> None:
    np.testing.assert_array_equal(td.huber_loss(f32(0, 0.5, -1, 3, -3), delta), expected)


def test_the_gradient_of_the_huber_loss_is_the_clipped_error() -> None:
    error = f32(-5, -0.3, 0, 0.7, 5)
    with tf.GradientTape() as tape:
        tape.watch(error)
        loss = td.huber_loss(error, 1.0)
    np.testing.assert_allclose(tape.gradient(loss, error), [-1, -0.3, 0, 0.7, 1])
