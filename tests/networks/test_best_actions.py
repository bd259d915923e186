"""Masking: the best legal action, the first of equals, alike in TensorFlow and in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.networks.best_actions import best_value_numpy, greedy, greedy_numpy, only_legal, only_legal_numpy

Q = np.array([[1, 5, 5], [9, -1, -2], [-1, -2, -3]], np.float32)
LEGAL = np.array([[True, True, True], [False, True, True], [False, False, True]])


@pytest.mark.parametrize("best", [lambda q, legal: greedy(tf.constant(q), legal), greedy_numpy])
def test_greedy_takes_the_first_of_the_best_legal_actions(best) -> None:
    actions = np.asarray(best(Q, LEGAL))
    assert actions.dtype == np.int32
    np.testing.assert_array_equal(actions, [1, 1, 2])
    np.testing.assert_array_equal(best(Q, None), [1, 0, 0])
    np.testing.assert_array_equal(best(np.stack([Q, -Q]), LEGAL), [[1, 1, 2], [0, 2, 2]])  # two members


@pytest.mark.parametrize("mask", [lambda q, legal: only_legal(tf.constant(q), legal), only_legal_numpy])
def test_an_illegal_action_has_the_lowest_value_and_a_legal_one_its_own(mask) -> None:
    lowest = np.finfo(np.float32).min
    expected = [[1, 5, 5], [lowest, -1, -2], [lowest, lowest, -3]]
    np.testing.assert_array_equal(mask(Q, LEGAL), np.array(expected, np.float32))
    np.testing.assert_array_equal(mask(Q, None), Q)


def test_a_state_is_worth_its_best_legal_action_and_of_branches_the_mean_of_each_ones() -> None:
    q = np.array([[[1.0, 9.0, 3.0], [4.0, 2.0, 9.0]], [[-5.0, -6.0, 9.0], [0.0, 1.0, 9.0]]], np.float32)
    legal = np.array([[True, False, True], [True, True, False]])
    np.testing.assert_array_equal(best_value_numpy(q, legal), [3.5, np.mean([9, 1])])
    np.testing.assert_array_equal(best_value_numpy(q[:, 0], np.array([[True, False, True]] * 2)), [3, 9])
    np.testing.assert_array_equal(best_value_numpy(q[:, 0], None), [9, 9])
