"""`make_stocks`: gym-trading-env's market of one stock, in a period of its own, with fees and without a look ahead."""

import warnings
from datetime import date
from typing import Any

import gymnasium
import numpy as np

from tfdqn.errors import PackageMissingError, TaskError
from tfdqn.system.shell_commands import install_extra
from tfdqn.tasks.fields.csv_columns import Cell, read_rows

RETURN_DAYS = (1, 5, 20, 60)  # over which past returns are observed
VOLATILITY_DAYS = 20
WARM_UP_DAYS = max(RETURN_DAYS) + 1  # before the first observation


def make_stocks(
    first_day: str = "2009-01-01", last_day: str = "2018-12-31", fee: float = 0.001, prices_file: str = ""
) -> gymnasium.Env[np.ndarray, int]:
    """An environment whose episode is a period, from its first trading day to its last.

    Action 0 holds cash, action 1 stock, traded at the day's closing price; the reward is the logarithm of what the
    portfolio has grown by at the next close, fees paid. Observation float32[6]: the logarithmic returns over 1, 5, 20
    and 60 days and the daily volatility over 20, all up to the *previous* day's close, each divided by what its
    standard deviation would be if a day's were 1 %; and the position held. So a decision needs only prices that are
    known the evening before.

    Args:
      first_day: of the period, as in 2015-01-01; the first 61 days of the prices are only observed.
      last_day: of the period.
      fee: part of the traded value, for a purchase as for a sale.
      prices_file: a CSV file with the columns `date` and `close`; "": Alphabet's, 2009-05-22 to 2018-08-29, which
        gym-anytrading ships.
    """
    days, closes = _read(prices_file) if prices_file else _alphabet()
    start, end = (
        int(np.searchsorted(days, day))
        for day in (_day("first_day", first_day), _day("last_day", last_day) + np.timedelta64(1))
    )
    start = max(start, WARM_UP_DAYS)
    if end - start < 2:
        raise TaskError(
            f"task.kwargs: {max(end - start, 0)} trading days from {first_day} to {last_day}; prices from {days[0]} to "
            f"{days[-1]} are there, of which the first {WARM_UP_DAYS} can only be observed"
        )
    if not 0 <= fee < 1:
        raise TaskError(f"task.kwargs.fee = {fee}: a part of the traded value is needed, from 0 to below 1")
    return _trading_env(days[start:end], closes[start:end], features(closes)[start:end], fee)


def features(closes: np.ndarray) -> np.ndarray:
    """What is observed of closing prices [days], float64[days, 5]; the first WARM_UP_DAYS rows are NaN in part.

    Row t is a function of the closes before day t.
    """
    logs, day_deviation = np.log(closes), 0.01
    found = np.full((len(closes), len(RETURN_DAYS) + 1), np.nan)
    for column, days in enumerate(RETURN_DAYS):
        found[days + 1 :, column] = (logs[days:-1] - logs[: -days - 1]) / (day_deviation * days**0.5)
    returns = np.lib.stride_tricks.sliding_window_view(np.diff(logs), VOLATILITY_DAYS)
    found[VOLATILITY_DAYS + 1 :, -1] = returns[:-1].std(axis=1) / day_deviation
    return found


def _trading_env(days: np.ndarray, closes: np.ndarray, observed: np.ndarray, fee: float) -> Any:
    try:
        import pandas as pd

        with warnings.catch_warnings():  # its import makes an error of every warning of the process
            from gym_trading_env.environments import TradingEnv, dynamic_feature_last_position_taken
    except ImportError as error:
        raise _missing(error) from error
    names = [f"feature_{column}" for column in range(observed.shape[1])]
    prices = {name: closes for name in ("open", "high", "low", "close")}
    return TradingEnv(
        pd.DataFrame({**prices, **dict(zip(names, observed.T, strict=True))}, index=pd.DatetimeIndex(days)),
        positions=[0, 1],
        dynamic_feature_functions=[dynamic_feature_last_position_taken],
        trading_fees=fee,
        initial_position=0,  # a random one would be drawn from NumPy's own stream, whatever the seed
        verbose=0,
        render_mode=None,
    )


def _alphabet() -> tuple[np.ndarray, np.ndarray]:
    try:
        from gym_anytrading.datasets import STOCKS_GOOGL
    except ImportError as error:
        raise _missing(error) from error
    return STOCKS_GOOGL.index.to_numpy("datetime64[D]"), STOCKS_GOOGL["Close"].to_numpy(np.float64)


def _missing(error: ImportError) -> PackageMissingError:
    hint = install_extra("trading")
    return PackageMissingError(f"tfdqn/Stocks-v0 needs a package ({error.name}): {hint}")


def _read(file: str) -> tuple[np.ndarray, np.ndarray]:
    """Days datetime64[D] and closes float64; raises TaskError for a gap."""
    days: list[np.datetime64] = []
    closes = []
    for day, close in read_rows(file, ("date", "close")):
        days.append(_later_day(day, days[-1] if days else None))
        closes.append(close.number("price"))
        if closes[-1] <= 0:
            raise close.error(f"{close.text} is no price above 0")
    return np.array(days), np.array(closes)


def _later_day(cell: Cell, before: np.datetime64 | None) -> np.datetime64:
    try:
        day = np.datetime64(date.fromisoformat(cell.text.strip()), "D")
    except ValueError:
        raise cell.error(f"{cell.text!r} is no day as in 2026-01-31") from None
    if before is not None and day <= before:
        raise cell.error(f"{day} follows {before}: days must be in order")
    return day


def _day(argument: str, text: str) -> np.datetime64:
    try:
        return np.datetime64(date.fromisoformat(text), "D")
    except ValueError:
        raise TaskError(f"task.kwargs.{argument} = {text!r}: it is no day as in 2026-01-31") from None
