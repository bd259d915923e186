"""The comparison of docs/fields/trading.md for options: the tree against published and closed-form values."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from examples.fields.american_put import at_maturity, best, boundary, compare, of_policy, simulated, value
from tfdqn.tasks.fields.american_put import EXERCISE, HOLD, AmericanPut

# Longstaff and Schwartz 2001, table 1, finite differences: spot, volatility, years, value; strike 40, 6 % a year, 50
# exercise dates a year.
PUBLISHED = [(36, 0.2, 1, 4.478), (36, 0.2, 2, 4.840), (36, 0.4, 1, 7.101), (38, 0.2, 1, 3.250), (40, 0.2, 1, 2.314)]


def black_scholes(put: AmericanPut) -> float:
    """Of a European put (Black and Scholes 1973)."""
    deviation = put.volatility * math.sqrt(put.maturity_years)
    drift = (put.rate + put.volatility**2 / 2) * put.maturity_years
    upper = (math.log(put.spot / put.strike) + drift) / deviation
    below = NormalDist().cdf
    discounted = put.strike * math.exp(-put.rate * put.maturity_years)
    return discounted * below(deviation - upper) - put.spot * below(-upper)


@pytest.mark.parametrize("spot, volatility, years, published", PUBLISHED)
def test_the_tree_agrees_with_published_values(spot: float, volatility: float, years: int, published: float) -> None:
    put = AmericanPut(spot, 40.0, 0.06, volatility, years, exercise_dates=50 * years)
    assert value(put, 40, best) == pytest.approx(published, abs=0.0015)


def test_the_tree_agrees_with_black_and_scholes() -> None:
    put = AmericanPut()
    assert black_scholes(put) == pytest.approx(3.844, abs=5e-4)  # the same table's European value
    assert value(put, 40, at_maturity(put)) == pytest.approx(black_scholes(put), abs=5e-4)


def test_a_tree_of_two_steps_by_hand() -> None:
    """S = 100, K = 104, u = 1.2, r = 0, so p = (1 - 1/1.2) / (1.2 - 1/1.2) = 5/11.

    At maturity 100 pays 4, 69.44… pays 34.55…, 144 nothing. After a fall to 83.33…: held 5/11 · 4 + 6/11 · 34.55… =
    20.66…, as much as it pays at once, 104 - 83.33…. After a rise: 6/11 · 4 = 2.1818…. At the start 5/11 · 2.1818… +
    6/11 · 20.66… = 12.264…, where only 4 is paid at once.
    """
    put = AmericanPut(100.0, 104.0, 0.0, math.log(1.2), 2.0, exercise_dates=2)
    assert value(put, 1, best) == pytest.approx(12.2645, abs=1e-4)


def test_a_policy_that_exercises_at_once_is_worth_what_it_is_paid() -> None:
    put = AmericanPut()
    found = compare(lambda rows: np.full(len(rows), EXERCISE), put, steps_per_date=2, paths=100, seed=1)
    assert found["learned"] == 4.0
    assert found["learned, simulated"] == {"value": 4.0, "95 % interval": [4.0, 4.0]}
    assert found["exercised only at maturity"] < found["learned"] < found["best on the same dates"]
    assert found["best on the same dates"] < found["best at any time"]


def test_the_best_boundary_as_a_policy_earns_the_best_value_on_tree_and_paths() -> None:
    put = AmericanPut(exercise_dates=10)
    highest = boundary(put, best, 200)
    assert (np.diff(highest[2:]) >= 0).all() and 39.6 < highest[-1] < 40.0

    def policy(rows: np.ndarray) -> np.ndarray:
        date = np.rint((1 - rows[:, 0]) * 10).astype(int)
        return np.where(40.0 * (1 + rows[:, 1]) <= np.nan_to_num(highest[date]) + 1e-4, EXERCISE, HOLD)

    most = value(put, 200, best)
    assert value(put, 200, of_policy(policy, put)) == pytest.approx(most, abs=1e-3)
    payoffs = simulated(put, policy, 40_000, seed=2)
    assert payoffs.mean() == pytest.approx(most, abs=3 * payoffs.std() / 200)


def test_options_that_are_never_exercised_are_worth_nothing() -> None:
    put = AmericanPut(exercise_dates=5)
    found = compare(lambda rows: np.full(len(rows), HOLD), put, steps_per_date=3, paths=50, seed=0)
    assert found["learned"] == 0.0 and found["learned, simulated"]["value"] == 0.0
