"""The American put: payoffs by hand, the stock's law, the ends of an episode."""

import math

import numpy as np
import pytest

from tfdqn.tasks.fields.american_put import EXERCISE, HOLD, AmericanPut


def test_to_exercise_at_once_pays_what_the_option_is_worth_now() -> None:
    option = AmericanPut(spot=36.0, strike=40.0)
    observation, _ = option.reset(seed=1)
    assert observation == pytest.approx([1.0, -0.1])
    _, reward, terminated, truncated, _ = option.step(EXERCISE)
    assert (reward, terminated, truncated) == (4.0, True, False)


def test_a_later_payoff_is_discounted_to_the_start() -> None:
    """After 3 of 4 quarters at 8 % a year: exp(-0.08 · 0.75) (K - S), also where that is a loss."""
    option = AmericanPut(rate=0.08, maturity_years=1.0, exercise_dates=4, volatility=0.5)
    payoffs = []
    for seed in range(20):
        option.reset(seed=seed)
        for _ in range(3):
            observation, reward, terminated, _, _ = option.step(HOLD)
            assert reward == 0.0 and not terminated
        assert observation[0] == pytest.approx(0.25)
        payoffs.append(option.step(EXERCISE)[1])
        assert payoffs[-1] == pytest.approx(-math.exp(-0.06) * 40.0 * observation[1], rel=1e-5)
    assert min(payoffs) < 0 < max(payoffs)


def test_an_option_that_is_held_at_maturity_expires() -> None:
    option = AmericanPut(exercise_dates=3)
    option.reset(seed=1)
    answers = [option.step(HOLD) for _ in range(4)]
    assert [answer[2] for answer in answers] == [False, False, False, True]
    assert [answer[0][0] for answer in answers] == pytest.approx([2 / 3, 1 / 3, 0.0, 0.0])
    assert sum(answer[1] for answer in answers) == 0.0


def test_the_stock_grows_at_the_rate_with_the_volatility() -> None:
    """After 2 of 4 half-years: log S is normal, its mean (r - σ² / 2) · 1, its deviation σ; exp(-r) S is S_0's mean."""
    option = AmericanPut(spot=50.0, strike=40.0, rate=0.1, volatility=0.3, maturity_years=2.0, exercise_dates=4)
    spots = []
    option.reset(seed=0)
    for _ in range(20_000):
        option.reset()
        option.step(HOLD)
        spots.append(40.0 * (1 + float(option.step(HOLD)[0][1])))
    logs = np.log(np.array(spots) / 50.0)
    assert logs.mean() == pytest.approx(0.1 - 0.045, abs=0.007)  # 3 deviations of the mean
    assert logs.std() == pytest.approx(0.3, abs=0.005)
    assert math.exp(-0.1) * np.mean(spots) == pytest.approx(50.0, abs=0.35)
