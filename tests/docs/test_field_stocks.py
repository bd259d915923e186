"""The comparison of docs/fields/trading.md for a stock: its statistics by hand, and which period chooses."""

from pathlib import Path

import numpy as np
import pytest

from examples.fields.stocks import blocks, compare, described, drawdown, sharpe, total_return
from tests.tasks.fields.test_stocks import write

DAYS = np.log([1.1, 0.8, 1.05, 0.9, 1.5])  # the value of 1: 1.1, 0.88, 0.924, 0.8316, 1.2474


def test_returns_and_drawdowns_by_hand() -> None:
    assert total_return(DAYS) == pytest.approx(0.2474)
    assert drawdown(DAYS) == pytest.approx(1 - 0.8316 / 1.1)
    assert drawdown(np.log([0.9, 1.2])) == pytest.approx(0.1)  # a fall from where it began
    assert drawdown(np.log([1.1, 1.2])) == 0.0


def test_the_sharpe_ratio_by_hand() -> None:
    """Daily 1 %, 2 % and 3 %: a mean of 2 %, a deviation of 1 %, and 252 days a year."""
    assert sharpe(np.log([1.01, 1.02, 1.03])) == pytest.approx(2 * np.sqrt(252))
    assert sharpe(np.zeros(5)) == 0.0


def test_statistics_of_many_are_those_of_each() -> None:
    many = np.stack([DAYS, DAYS[::-1], np.zeros(5)])
    for statistic in (total_return, drawdown, sharpe):
        np.testing.assert_allclose(statistic(many), [statistic(each) for each in many])


def test_blocks_are_of_consecutive_days_and_begin_anywhere() -> None:
    samples = blocks(np.arange(50.0), np.random.default_rng(0))
    assert samples.shape == (2_000, 50)
    steps = np.diff(samples, axis=1)
    assert (np.delete(steps, [19, 39], axis=1) == 1).all() and (steps[:, [19, 39]] != 1).any()
    assert set(samples[:, 0]) == set(range(31))


def test_an_interval_holds_its_value_and_one_of_a_constant_is_narrow() -> None:
    noise = np.random.default_rng(0).normal(0.001, 0.01, 500)
    value, low, high = described(noise)["return"]
    assert low < value < high
    assert described(np.full(30, 0.01))["return"] == pytest.approx([np.expm1(0.3)] * 3, abs=1e-4)


@pytest.mark.tasks
def test_the_validation_period_chooses(tmp_path: Path) -> None:
    """Prices that fall, then rise: who holds cash is chosen where validation falls, whatever comes later."""
    closes = 100 * np.exp(np.concatenate([np.arange(100) * -0.01, -1 + np.arange(100) * 0.01]))
    kwargs = {"fee": 0.0, "prices_file": write(tmp_path, closes), "first_day": "2020-01-01"}
    falling = {**kwargs, "last_day": "2020-04-08"}
    rising = {**kwargs, "first_day": "2020-04-12", "last_day": "2030-01-01"}
    policies = {"cash": lambda _: 0, "stock": lambda _: 1}
    found = compare(policies, {"validation": falling, "held out": rising})
    assert found["chosen by validation"] == "cash"
    figures = found["value, 95 % interval"]
    assert figures["validation"]["cash"]["return"] == [0.0, 0.0, 0.0]
    assert figures["held out"]["stock"] == figures["held out"]["buy and hold"]
    assert figures["held out"]["stock"]["return"][0] > figures["held out"]["random"]["return"][0] > 0
    assert compare(policies, {"validation": rising, "held out": falling})["chosen by validation"] == "stock"
