"""`Battery`: a battery that buys and sells energy in a day-ahead market, hour by hour."""

from datetime import datetime, timedelta
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tfdqn.errors import TaskError
from tfdqn.tasks.fields.csv_columns import Cell, read_rows

HOURS = 24
CHARGE, IDLE, DISCHARGE = range(3)
_PRICE_UNIT = 100.0  # EUR/MWh


class Battery(gymnasium.Env[np.ndarray, int]):
    """A day of trading that begins with an empty battery; energy left at midnight is worth nothing.

    With power limit P (MW), capacity C (MWh), round-trip efficiency η, energy stored s (MWh) and price p (EUR/MWh), an
    hour gives

        charge      buys  x = min(P, (C - s) / √η)   s += √η x   reward = -p x
        discharge   sells x = min(P, √η s)           s -= x / √η   reward = (p - degradation cost) x
        idle                                                     reward = 0

    so that the return is the day's profit in EUR. All 24 prices are known when the day begins.

    Observation float32[26]: s / C, the fraction of the day that is left, and the prices of this hour and the following
    ones, in units of 100 EUR/MWh, 0 beyond midnight.

    Args:
      capacity_mwh: C, above 0.
      power_mw: P at the meter, above 0.
      efficiency: η, in (0, 1]; charging and discharging have √η each.
      degradation_cost: EUR for each MWh sold, at least 0.
      prices_file: a file for `read_days`, of whose days each episode draws one; "": `draw_day` makes the prices.

    Attributes:
      prices: the day's prices, float64[24], in EUR/MWh. The other attributes are the arguments.

    Raises TaskError for an argument out of these bounds or a file that can't be read.
    """

    def __init__(
        self,
        capacity_mwh: float = 2.0,
        power_mw: float = 1.0,
        efficiency: float = 0.85,
        degradation_cost: float = 0.0,
        prices_file: str = "",
    ) -> None:
        if not (capacity_mwh > 0 and power_mw > 0 and 0 < efficiency <= 1 and degradation_cost >= 0):
            raise TaskError(
                "task.kwargs: capacity_mwh and power_mw above 0, efficiency above 0 and up to 1, degradation_cost at "
                f"least 0 are needed, not {capacity_mwh}, {power_mw}, {efficiency} and {degradation_cost}"
            )
        self.capacity_mwh, self.power_mw = capacity_mwh, power_mw
        self.efficiency, self.degradation_cost = efficiency, degradation_cost
        self.prices = np.zeros(HOURS)
        self._one_way = efficiency**0.5
        self._days = read_days(prices_file) if prices_file else None
        low, high = np.full(2 + HOURS, -np.inf, np.float32), np.full(2 + HOURS, np.inf, np.float32)
        low[:2], high[:2] = 0.0, 1.0
        self.observation_space = spaces.Box(low, high)
        self.action_space = spaces.Discrete(3)
        self._hour, self._stored = 0, 0.0

    def get_action_meanings(self) -> list[str]:
        return ["charge", "idle", "discharge"]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if self._days is None:
            self.prices = draw_day(self.np_random)
        else:
            self.prices = self._days[self.np_random.integers(len(self._days))]
        self._hour, self._stored = 0, 0.0
        return self._observation(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        price, reward = float(self.prices[self._hour]), 0.0
        if action == CHARGE:
            bought = min(self.power_mw, (self.capacity_mwh - self._stored) / self._one_way)
            self._stored = min(self._stored + self._one_way * bought, self.capacity_mwh)
            reward = -price * bought
        elif action == DISCHARGE:
            sold = min(self.power_mw, self._one_way * self._stored)
            self._stored = max(self._stored - sold / self._one_way, 0.0)
            reward = (price - self.degradation_cost) * sold
        self._hour += 1
        return self._observation(), reward, self._hour == HOURS, False, {}

    def get_state(self) -> dict[str, Any]:
        """The state that determines the coming steps, besides `np_random`."""
        return {"prices": self.prices, "hour": self._hour, "stored": self._stored}

    def set_state(self, state: dict[str, Any]) -> None:
        self.prices, self._hour, self._stored = state["prices"], int(state["hour"]), float(state["stored"])

    def _observation(self) -> np.ndarray:
        observation = np.zeros(2 + HOURS, np.float32)
        observation[:2] = self._stored / self.capacity_mwh, 1 - self._hour / HOURS
        observation[2 : 2 + HOURS - self._hour] = self.prices[self._hour :] / _PRICE_UNIT
        return observation


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
