"""The market of one stock: fees by hand, periods apart, no look ahead, gaps in a file."""

import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfdqn.config import Task
from tfdqn.errors import PackageMissingError, TaskError
from tfdqn.tasks.fields.stocks import WARM_UP_DAYS, features, make_stocks
from tfdqn.tasks.registry import make_task, resolve_spec

CASH, STOCK = 0, 1
FIRST = np.datetime64("2020-01-01")


def write(folder: Path, closes: np.ndarray, name: str = "prices.csv") -> str:
    """A file with a price for each day from FIRST on."""
    rows = [f"{FIRST + day},{close!r}" for day, close in enumerate(closes.tolist())]
    (folder / name).write_text("\n".join(["date,close", *rows]))
    return str(folder / name)


def a_walk(days: int, seed: int = 0) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, days)))


def played(kwargs: dict[str, Any], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Observations [days + 1, 6] and rewards [days] of an episode by these actions, as far as they reach."""
    env = make_stocks(**kwargs)
    observations, rewards = [env.reset()[0].copy()], []
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        observations.append(observation.copy())
        rewards.append(reward)
        if terminated or truncated:
            break
    return np.array(observations), np.array(rewards)


def test_what_is_observed_by_hand() -> None:
    """Of prices that grow by 1 % a day, then by 2 %: in units of 1 % times the square root of the days."""
    logs = np.concatenate([np.arange(70) * 0.01, 0.69 + np.arange(1, 31) * 0.02])
    found = features(np.exp(logs))
    assert np.isnan(found[WARM_UP_DAYS - 1]).any() and not np.isnan(found[WARM_UP_DAYS:]).any()
    np.testing.assert_allclose(found[70], [1, 5 / 5**0.5, 20 / 20**0.5, 60 / 60**0.5, 0], atol=1e-9)
    # The evening before day 72: two of the last 5 days grew by 2 %, two of the last 20, two of the last 60.
    np.testing.assert_allclose(found[72, :4], [2, 7 / 5**0.5, 22 / 20**0.5, 62 / 60**0.5], atol=1e-9)
    assert found[72, 4] == pytest.approx(np.std([1.0] * 18 + [2.0] * 2))


def test_a_day_is_observed_only_from_the_next_one_on() -> None:
    closes = a_walk(100)
    before = features(closes)
    closes[80] *= 1.5
    after = features(closes)
    np.testing.assert_array_equal(after[:81], before[:81])
    assert (after[81] != before[81]).all()


@pytest.mark.tasks
def test_fees_by_hand(tmp_path: Path) -> None:
    """1 % for a purchase and for a sale; nothing while the position stays."""
    closes = np.full(WARM_UP_DAYS + 6, 100.0)
    closes[WARM_UP_DAYS:] = [100, 110, 121, 121, 60, 60]
    _, rewards = played(
        {"fee": 0.01, "prices_file": write(tmp_path, closes), "last_day": "2030-01-01"},
        np.array([STOCK, STOCK, CASH, CASH, STOCK]),
    )
    np.testing.assert_allclose(np.exp(rewards), [0.99 * 1.1, 1.1, 0.99, 1.0, 0.99])


@pytest.mark.tasks
def test_nothing_of_the_past_depends_on_the_future(tmp_path: Path) -> None:
    """Days after a day are shuffled: what was observed and earned until then is the same, to the last bit."""
    rng = np.random.default_rng(1)
    closes = a_walk(200)
    actions = rng.integers(2, size=200)
    kwargs = {"fee": 0.002, "last_day": "2030-01-01"}
    observations, rewards = played({**kwargs, "prices_file": write(tmp_path, closes)}, actions)
    assert len(rewards) == 200 - WARM_UP_DAYS - 1
    for day in (70, 120, 198):
        shuffled = np.concatenate([closes[: day + 1], rng.permutation(closes[day + 1 :]) * 1.1])
        seen, earned = played({**kwargs, "prices_file": write(tmp_path, shuffled, "other.csv")}, actions)
        now = day - WARM_UP_DAYS  # the step at which the day's close is traded at
        np.testing.assert_array_equal(seen[: now + 2], observations[: now + 2])  # the next day's too: it shows this one
        np.testing.assert_array_equal(earned[:now], rewards[:now])
        assert not np.array_equal(earned, rewards)


@pytest.mark.tasks
def test_periods_are_apart_and_begin_with_what_went_before(tmp_path: Path) -> None:
    closes = a_walk(300)
    file = write(tmp_path, closes)
    whole, _ = played({"prices_file": file, "last_day": "2030-01-01"}, np.zeros(300, int))
    first, last = str(FIRST + 150), str(FIRST + 199)
    part, rewards = played({"prices_file": file, "first_day": first, "last_day": last}, np.zeros(300, int))
    assert len(part) == 50 and len(rewards) == 49
    np.testing.assert_array_equal(part, whole[150 - WARM_UP_DAYS : 200 - WARM_UP_DAYS])


@pytest.mark.tasks
def test_the_data_that_the_package_ships_are_a_task() -> None:
    with warnings.catch_warnings(record=True):
        task = make_task(Task(id="tfdqn/Stocks-v0", num_envs=2, kwargs={"first_day": "2017-01-01"}))
        warnings.warn("is still one", UserWarning, stacklevel=1)  # and no error, for all that the package sets
    assert task.spec.num_actions == (2,)
    task.reset(1)
    steps = [task.step(np.array([CASH, STOCK], np.int32)) for _ in range(417)]
    rewards = np.array([step.reward for step in steps], np.float64).sum(axis=0)
    # Closes: 808.01 on 2017-01-03, 1264.65 on 2018-08-29; bought at 0.1 %.
    np.testing.assert_allclose(np.exp(rewards), [1.0, 0.999 * 1264.650024 / 808.01001], rtol=1e-5)
    assert steps[-1].truncated.all() and not any(step.truncated.any() for step in steps[:-1])


@pytest.mark.parametrize(
    "row, text, said",
    [
        (9, "2020-01-08,", "row 9, column close: '' is not a price"),
        (9, "2020-01-08,-3.0", "row 9, column close: -3.0 is not a price above 0"),
        (9, ",3.0", "row 9, column date: '' is not a date"),
        (9, "2020-01-07,3.0", "row 9, column date: 2020-01-07 follows 2020-01-07"),
    ],
)
def test_a_gap_is_one_line_with_row_and_column(tmp_path: Path, row: int, text: str, said: str) -> None:
    file = write(tmp_path, a_walk(100))
    lines = Path(file).read_text().splitlines()
    lines[row - 1] = text
    Path(file).write_text("\n".join(lines))
    with pytest.raises(TaskError) as caught:
        resolve_spec(Task(id="tfdqn/Stocks-v0", kwargs={"prices_file": file}))
    assert str(caught.value).startswith(f"{file}, {said}")


@pytest.mark.parametrize("missing", ["gym_trading_env", "gym_anytrading"])
def test_a_package_that_is_missing_is_one_line_with_its_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prices = pd.DataFrame({"Close": a_walk(100)}, pd.date_range("2015-01-01", periods=100))
    monkeypatch.setitem(sys.modules, "gym_anytrading.datasets", SimpleNamespace(STOCKS_GOOGL=prices))
    for each in (f"{missing}.environments", f"{missing}.datasets"):
        monkeypatch.setitem(sys.modules, each, None)
    with pytest.raises(PackageMissingError, match=r"^tfdqn/Stocks-v0 needs a package .*\[trading\]"):
        resolve_spec(Task(id="tfdqn/Stocks-v0"))


@pytest.mark.parametrize(
    "kwargs, said",
    [
        (
            {"first_day": "2021-01-01"},
            "0 trading days from 2021-01-01 to 2030-01-01; prices from 2020-01-01 to 2020-04-",
        ),
        ({"first_day": "soon"}, "task.kwargs.first_day = 'soon': not a date such as 2026-01-31"),
        ({"fee": 1.0}, "task.kwargs.fee = 1.0"),
    ],
)
def test_what_no_period_and_no_fee_is_says_so(tmp_path: Path, kwargs: dict[str, Any], said: str) -> None:
    whole = {"prices_file": write(tmp_path, a_walk(100)), "last_day": "2030-01-01"}
    with pytest.raises(TaskError) as caught:
        resolve_spec(Task(id="tfdqn/Stocks-v0", kwargs={**whole, **kwargs}))
    assert said in str(caught.value) and "\n" not in str(caught.value)
