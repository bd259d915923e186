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


def test_the_value_of_the_best_action_is_the_maximum_where_one_network_selects_and_evaluates() -> None:
    q = f32([2, 4], [7, 1], [-2, -3])
    np.testing.assert_array_equal(td.greedy_value(q, q, None), [4, 7, -2])


def test_the_action_is_the_selecting_networks_and_its_value_the_other_ones() -> None:
    # The argmax is 1, then 0. Any other column is poisoned, and so is the selecting network's own value.
    q_t = f32([POISON, 3, POISON], [-4, POISON, POISON])
    q_select_t = f32([0, 5 * POISON, 1], [7 * POISON, 2, 3])
    np.testing.assert_array_equal(td.greedy_value(q_t, q_select_t, None), [3, -4])


def test_the_first_of_equal_actions_is_the_best() -> None:
    np.testing.assert_array_equal(td.greedy_value(f32([POISON, 1, 2]), f32([0, 8, 8]), None), [1])


def test_no_value_is_an_illegal_actions() -> None:
    legal = tf.constant([[True, False, True], [False, True, False]])
    q_t = f32([1, POISON, -2], [POISON, -30, POISON])
    np.testing.assert_array_equal(td.greedy_value(q_t, q_t, legal), [1, -30])
    # The selecting network likes action 1, then 2: both illegal. Of the legal ones it likes 2, then 1.
    q_select_t = f32([0, POISON, 1], [3, -POISON, POISON])
    np.testing.assert_array_equal(td.greedy_value(q_t, q_select_t, legal), [-2, -30])


def test_the_value_of_a_state_without_legal_actions_is_finite() -> None:
    """It is multiplied by a discount of 0: such a state is terminal."""
    legal, q = tf.constant([[False, False]]), f32([1, 2])
    for select in (q, f32([1, 2])):
        assert np.isfinite(td.greedy_value(q, select, legal)).all()


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
