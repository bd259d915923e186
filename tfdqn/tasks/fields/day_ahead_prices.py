"""Prices of electricity by the hour, a day ahead: drawn at random, or read from a file."""

from datetime import datetime, timedelta

import numpy as np

from tfdqn.tasks.fields.csv_columns import Cell, read_rows

HOURS = 24


def draw_day(rng: np.random.Generator) -> np.ndarray:
    """A day's prices, float64[24], in EUR/MWh.

    With U the uniform and N the normal distribution, and every draw anew each day, hour h costs

        level + a·bump(h, 8 + N(0, 1), 2) + b·bump(h, 19 + N(0, 1), 2) - c·bump(h, 13 + N(0, 1), 3) + noise(h)

    level ~ N(60, 15), the morning's peak a ~ U(10, 40), the evening's b ~ U(20, 70), the trough of the sun at noon
    c ~ U(0, 80); bump(h, centre, width) = exp(-(h - centre)² / (2 width²)); noise(h) = 0.7 noise(h - 1) + N(0, 6).
    The shape is that of a market with much solar power, whose prices are below zero now and then; the numbers are
    estimated from none.
    """
    hours = np.arange(HOURS)
    prices = np.full(HOURS, rng.normal(60.0, 15.0))
    for lowest, highest, centre, width in ((10, 40, 8, 2), (20, 70, 19, 2), (-80, 0, 13, 3)):
        height, middle = rng.uniform(lowest, highest), rng.normal(centre, 1.0)
        prices += height * np.exp(-((hours - middle) ** 2) / (2 * width**2))
    noise = 0.0
    for hour, shock in enumerate(rng.normal(0.0, 6.0, HOURS)):
        noise = 0.7 * noise + shock
        prices[hour] += noise
    return prices


def read_days(file: str) -> np.ndarray:
    """The prices float64[days, 24] of a CSV file with the columns `time` (ISO 8601) and `price`, a row for each hour.

    Raises TaskError, with row and column, for a gap: an hour that is missing, twice or not whole, a price that is empty
    or no number, a first or last day that is not whole. Days have 24 hours, so times must be in one offset from UTC.
    """
    before: datetime | None = None
    prices = []
    for time, price in read_rows(file, ("time", "price")):
        before = _following_hour(time, before)
        prices.append(price.number("price in EUR/MWh"))
    if left_over := len(prices) % HOURS:
        raise time.error(f"the last day has {left_over} hours, not {HOURS}")
    return np.array(prices).reshape(-1, HOURS)


def _following_hour(cell: Cell, before: datetime | None) -> datetime:
    try:
        time = datetime.fromisoformat(cell.text.strip())
    except ValueError:
        raise cell.error(f"{cell.text!r} is no time as in 2026-01-31T23:00") from None
    if before is None and (time.hour, time.minute, time.second) != (0, 0, 0):
        raise cell.error(f"the first day begins at {cell.text}, not at 00:00")
    if before is not None and _is_other_than_next(time, before):
        raise cell.error(f"{cell.text} follows {before.isoformat()}: a row is needed for each hour, in order")
    return time


def _is_other_than_next(time: datetime, before: datetime) -> bool:
    return time.utcoffset() != before.utcoffset() or time - before != timedelta(hours=1)
