"""`make_stocks`: gym-trading-env's market of one stock over a given period, with fees and without look-ahead."""

import warnings
from datetime import date
from typing import Any

import gymnasium
import numpy as np

from tfdqn.errors import PackageMissingError, TaskError
from tfdqn.system.shell_commands import install_extra
from tfdqn.tasks.fields.csv_columns import Cell, read_rows

RETURN_DAYS = (1, 5, 20, 60)  # the numbers of days of the returns that are observed
VOLATILITY_DAYS = 20
WARM_UP_DAYS = max(RETURN_DAYS) + 1  # the days of prices that the first observation needs


def make_stocks(
    first_day: str = "2009-01-01", last_day: str = "2018-12-31", fee: float = 0.001, prices_file: str = ""
) -> gymnasium.Env[np.ndarray, int]:
    """Makes an environment in which an episode is a period, from its first trading day to its last.

    Action 0 holds cash, action 1 stock, traded at the day's closing price. The reward is the portfolio's logarithmic
    return until the next close, after fees. Observation float32[6]: the logarithmic returns over 1, 5, 20 and 60 days
    and the daily volatility over 20 days, all up to the *previous* day's close, and the position held. Each of the
    first five is divided by the standard deviation that it would have if a daily return's were 1 %. So a decision only
    needs prices that are known the evening before.

    Args:
      first_day: of the period, such as "2015-01-01"; no trading is possible on the first 61 days of the prices.
      last_day: of the period, included.
      fee: the part of the traded value that a purchase or a sale costs, from 0 to below 1.
      prices_file: a CSV file with the columns `date` and `close`; "": Alphabet's prices from 2009-05-22 to 2018-08-29,
        which gym-anytrading ships.

    Raises TaskError for wrong arguments or prices, PackageMissingError without the packages of the extra `trading`.
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
            f"{days[-1]} are there, of which the first {WARM_UP_DAYS} can't be traded on; at least 2 days are needed"
        )
    if not 0 <= fee < 1:
        raise TaskError(f"task.kwargs.fee = {fee}: a part of the traded value is needed, from 0 to below 1")
    return _trading_env(days[start:end], closes[start:end], features(closes)[start:end], fee)


def features(closes: np.ndarray) -> np.ndarray:
    """The observed returns and volatility, float64[days, 5], of closing prices [days].

    Row t depends only on the closes before day t; the first `WARM_UP_DAYS` rows have NaN where too few are known.
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

        with warnings.catch_warnings():  # on import it turns all warnings of the process into errors
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
        initial_position=0,  # a random one would come from NumPy's global generator, whatever the seed
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
    """(days datetime64[D], closes float64) of a CSV file. Raises TaskError for a wrong cell or days out of order."""
    days: list[np.datetime64] = []
    closes = []
    for day, close in read_rows(file, ("date", "close")):
        days.append(_later_day(day, days[-1] if days else None))
        closes.append(close.number("price"))
        if closes[-1] <= 0:
            raise close.error(f"{close.text} is not a price above 0")
    return np.array(days), np.array(closes)


def _later_day(cell: Cell, before: np.datetime64 | None) -> np.datetime64:
    try:
        day = np.datetime64(date.fromisoformat(cell.text.strip()), "D")
    except ValueError:
        raise cell.error(f"{cell.text!r} is not a date such as 2026-01-31") from None
    if before is not None and day <= before:
        raise cell.error(f"{day} follows {before}: days must be in order")
    return day


def _day(argument: str, text: str) -> np.datetime64:
    try:
        return np.datetime64(date.fromisoformat(text), "D")
    except ValueError:
        raise TaskError(f"task.kwargs.{argument} = {text!r}: not a date such as 2026-01-31") from None
