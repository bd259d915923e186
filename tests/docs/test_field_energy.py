"""The comparison of docs/fields/energy.md: optimum and rule against hand-worked days, and a run's figures."""

import numpy as np
import pytest

from examples.fields.battery import compare, optimum, play, rule
from tfdqn.tasks.fields.battery import CHARGE, DISCHARGE, IDLE, Battery

TWO_PRICES = np.array([10.0] * 12 + [100.0] * 12)


def test_the_optimum_of_two_prices_is_one_full_cycle() -> None:
    """2 MWh are bought as 2 / 0.9 at 10 and sold as 2 · 0.9 at 100 less 5 of wear."""
    best, stored = optimum(TWO_PRICES, Battery(efficiency=0.81, degradation_cost=5.0))
    assert best == pytest.approx(1.8 * 95 - 2 / 0.9 * 10)
    assert stored[11] == pytest.approx(2.0) and stored[23] == pytest.approx(0.0)


def test_the_optimum_of_rising_and_falling_prices_is_two_cycles() -> None:
    """With neither loss nor wear and a power that fills it in an hour: 2 · (50 - 10) + 2 · (80 - 20)."""
    prices = np.array([10.0, 50.0, 20.0, 80.0, *[0.0] * 20])
    assert optimum(prices, Battery(power_mw=2.0, efficiency=1.0))[0] == pytest.approx(200.0)


def test_no_actions_earn_more_than_the_optimum() -> None:
    rng = np.random.default_rng(0)
    kwargs = {"efficiency": 0.8, "degradation_cost": 3.0}
    batteries = [Battery(**kwargs) for _ in range(50)]
    profits = [play(batteries, 7, lambda _: rng.integers(3, size=50)) for _ in range(20)]
    best = np.array([optimum(each.prices, each)[0] for each in batteries])
    assert (np.array(profits) <= best + 1e-6).all() and (best > 0).all()


def test_the_rule_takes_the_cheapest_and_the_dearest_hours() -> None:
    """2 MWh at 1 MW and 0.9 each way are full after 2.2 hours, so three hours are chosen of each."""
    prices = np.arange(24.0)
    prices[[3, 21]] = prices[[21, 3]]
    actions = rule(prices, Battery(efficiency=0.81))
    assert list(np.flatnonzero(actions == CHARGE)) == [0, 1, 2]
    assert list(np.flatnonzero(actions == DISCHARGE)) == [3, 22, 23]
    assert (actions == IDLE).sum() == 18


def test_a_policy_is_compared_on_the_same_days_as_the_rest() -> None:
    """Idle earns nothing; the linear program is its own measure."""
    found = compare(lambda rows: np.full(len(rows), IDLE), {}, days=20, seed=1)
    assert found["learned"] == {"EUR a day": 0.0, "95 % interval": [0.0, 0.0], "part of the optimum": 0.0}
    assert found["linear program"]["part of the optimum"] == 1.0
    assert 0.5 < found["rule"]["part of the optimum"] < 1.0
    assert found["random"]["EUR a day"] < 0
    assert found == compare(lambda rows: np.full(len(rows), IDLE), {}, days=20, seed=1)
