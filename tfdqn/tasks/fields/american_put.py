"""`AmericanPut`: when to exercise a put option on a stock whose price follows a geometric Brownian motion."""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tfdqn.errors import TaskError

HOLD, EXERCISE = range(2)


class AmericanPut(gymnasium.Env[np.ndarray, int]):
    """A put option that may be exercised on any of M + 1 evenly spaced dates, the start included, or left to expire.

    With strike K, rate r, volatility σ, maturity T, M periods of dt = T / M, and the stock at S:

        hold        S *= exp((r - σ² / 2) dt + σ sqrt(dt) N(0, 1))   reward = 0
        exercise    ends the episode at date i = 0 … M               reward = exp(-r i dt) (K - S)

    Holding at date M lets the option expire. Prices follow the risk-neutral measure and payoffs are discounted to the
    start, so the mean of the undiscounted return is the option's value under the policy. Exercising where S > K costs
    S - K.

    Observation float32[2]: the fraction of the time that is left, and S / K - 1.

    Args:
      spot: S at the start, above 0.
      strike: K, above 0.
      rate: r a year, continuously compounded.
      volatility: σ a year, above 0.
      maturity_years: T, above 0.
      exercise_dates: M, at least 1.
    """

    def __init__(
        self,
        spot: float = 36.0,
        strike: float = 40.0,
        rate: float = 0.06,
        volatility: float = 0.2,
        maturity_years: float = 1.0,
        exercise_dates: int = 50,
    ) -> None:
        if min(spot, strike, volatility, maturity_years) <= 0 or exercise_dates < 1:
            raise TaskError(
                "task.kwargs: spot, strike, volatility and maturity_years above 0 and exercise_dates of at least 1 are "
                f"needed, not {spot}, {strike}, {volatility}, {maturity_years} and {exercise_dates}"
            )
        step_years = maturity_years / exercise_dates
        self.spot, self.strike, self.rate, self.volatility = spot, strike, rate, volatility
        self.maturity_years, self.exercise_dates = maturity_years, exercise_dates
        self._drift, self._deviation = (rate - volatility**2 / 2) * step_years, volatility * math.sqrt(step_years)
        self._discount = math.exp(-rate * step_years)
        self.observation_space = spaces.Box(np.array([0.0, -1.0], np.float32), np.array([1.0, np.inf], np.float32))
        self.action_space = spaces.Discrete(2)
        self._spot, self._date = spot, 0

    def get_action_meanings(self) -> list[str]:
        return ["hold", "exercise"]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._spot, self._date = self.spot, 0
        return self._observation(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if action == EXERCISE:
            return self._observation(), self._discount**self._date * (self.strike - self._spot), True, False, {}
        if self._date == self.exercise_dates:
            return self._observation(), 0.0, True, False, {}
        self._date += 1
        self._spot *= math.exp(self._drift + self._deviation * self.np_random.standard_normal())
        return self._observation(), 0.0, False, False, {}

    def get_state(self) -> dict[str, Any]:
        """The state that determines the coming steps, besides `np_random`."""
        return {"spot": self._spot, "date": self._date}

    def set_state(self, state: dict[str, Any]) -> None:
        self._spot, self._date = float(state["spot"]), int(state["date"])

    def observed(self, date: int, spots: Any) -> np.ndarray:
        """The observations, float32[…, 2], of stock prices […] at a date from 0 to M."""
        moneyness = np.asarray(spots) / self.strike - 1
        left = np.full(moneyness.shape, 1 - date / self.exercise_dates)
        return np.stack([left, moneyness], axis=-1).astype(np.float32)

    def _observation(self) -> np.ndarray:
        return self.observed(self._date, self._spot)
