"""Hourly day-ahead prices of electricity: drawn at random, or read from a file."""

from datetime import datetime, timedelta

import numpy as np

from tfdqn.tasks.fields.csv_columns import Cell, read_rows

HOURS = 24


def draw_day(rng: np.random.Generator) -> np.ndarray:
    """Draws a day's prices, float64[24], in EUR/MWh.

    With U the uniform distribution and N(mean, standard deviation) the normal one, all drawn anew each day, the price
    of hour h is

        level + a·bump(h, 8 + N(0, 1), 2) + b·bump(h, 19 + N(0, 1), 2) - c·bump(h, 13 + N(0, 1), 3) + noise(h)

    with level ~ N(60, 15), the morning's peak a ~ U(10, 40), the evening's b ~ U(20, 70), the trough of solar power
    around noon c ~ U(0, 80); bump(h, centre, width) = exp(-(h - centre)² / (2 width²));
    noise(h) = 0.7 noise(h - 1) + N(0, 6). The shape is that of a market with much solar power, where prices are
    sometimes negative; the numbers are made up, not estimated from a market.
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
    """Reads the prices, float64[days, 24], of a CSV file with the columns `time` (ISO 8601) and `price` (EUR/MWh).

    There must be a row for each hour, in order, from 00:00 of the first day to 23:00 of the last, all at the same
    offset from UTC, so that each day has 24 hours.

    Raises TaskError, with row and column, for an hour that is missing, repeated or not a full hour, a price that is
    empty or no number, or an incomplete first or last day.
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
        raise cell.error(f"{cell.text!r} is not a time such as 2026-01-31T23:00") from None
    if before is None and (time.hour, time.minute, time.second) != (0, 0, 0):
        raise cell.error(f"the first day begins at {cell.text}, not at 00:00")
    if before is not None and (time.utcoffset() != before.utcoffset() or time - before != timedelta(hours=1)):
        raise cell.error(f"{cell.text} follows {before.isoformat()}: a row is needed for each hour, in order")
    return time
