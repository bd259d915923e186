"""Curves over environment steps: resumptions, points without a number, several runs on common steps, means."""

import numpy as np

from tfdqn.reports.curves import Curve, averaged, curve, on_common_steps


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


def test_of_many_points_the_means_of_equal_stretches_of_the_steps_are_drawn() -> None:
    # Three stretches from 0 to 90: 0 to 29, where all but one point are, none from 30 to 59, and 60 to 90.
    many = Curve(np.array([0, 10, 20, 29, 90]), np.array([1.0, 2.0, 3.0, 6.0, 9.0]))
    found = averaged(many, 3)
    np.testing.assert_array_equal(found.env_steps, [14, 90])  # 59 / 4, as a whole number
    np.testing.assert_array_equal(found.values, [3.0, 9.0])
    assert averaged(many, 5) is many


def test_means_of_long_runs_are_those_of_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    steps = np.unique(rng.integers(10**9, 10**12, 5_000))
    many = Curve(steps, rng.normal(size=len(steps)))
    found = averaged(many, 100)
    width = (int(steps[-1]) - int(steps[0])) / 100
    stretches = [[value for step, value in zip(*many, strict=True)
                  if min(int((int(step) - int(steps[0])) / width), 99) == i] for i in range(100)]  # fmt: skip
    np.testing.assert_allclose(found.values, [sum(each) / len(each) for each in stretches])
    assert len(found.env_steps) == 100 and (np.diff(found.env_steps) > 0).all()
