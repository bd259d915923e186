"""Curves over environment steps: resumptions, points without a number, several runs on common steps."""

import numpy as np

from tfdqn.reports.curves import Curve, curve, on_common_steps


def test_a_resumed_runs_points_replace_those_that_it_went_back_behind() -> None:
    found = curve((steps, float(i)) for i, steps in enumerate([100, 200, 300, 150, 250]))
    np.testing.assert_array_equal(found.env_steps, [100, 150, 250])
    np.testing.assert_array_equal(found.values, [0, 3, 4])


def test_a_point_without_a_number_is_left_out() -> None:
    np.testing.assert_array_equal(curve([(100, 1.0), (200, None), (None, 2.0)]).env_steps, [100])


def test_several_runs_are_drawn_where_all_have_been_straight_between_their_points() -> None:
    # The second begins at 20 and ends at 40: at 20 the first is half way from 0 to 10, at 30 at its own point.
    one = Curve(np.array([10, 30, 50]), np.array([0.0, 10.0, 30.0]))
    other = Curve(np.array([20, 40]), np.array([100.0, 200.0]))
    steps, values = on_common_steps([one, other])
    np.testing.assert_array_equal(steps, [20, 30, 40])
    np.testing.assert_array_equal(values, [[5, 10, 20], [100, 150, 200]])
