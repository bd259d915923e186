"""`Inventory`: how much of a product to order in each period, where each order has a fixed cost."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tfdqn.errors import TaskError


class Inventory(gymnasium.Env[np.ndarray, int]):
    """A product under periodic review, with backlogged demand and a supplier who delivers at once.

    With x units in stock (below 0: units that customers wait for) and an order of a units, a period costs

        y = x + a, demand d ~ Poisson(λ)   cost = K [a > 0] + h max(y - d, 0) + p max(d - y, 0)   x = y - d

    and its reward is -cost. The best policy is an (s, S) policy (Scarf 1960): if x ≤ s, order up to S. Stock stays
    within -C … C: orders that would exceed C are illegal (`info["action_mask"]`), and no more than C customers wait.
    Episodes have no end of their own, so the task needs a time limit.

    Observation float32[1]: x in units of λ.

    Args:
      fixed_cost: K for each order, at least 0.
      holding_cost: h for each unit left at a period's end, at least 0.
      stockout_cost: p for each unit that a customer waits for at a period's end, above 0.
      demand_mean: λ, above 0.
      capacity: C, at least 1, which is also the largest order.
    """

    def __init__(
        self,
        fixed_cost: float = 5.0,
        holding_cost: float = 1.0,
        stockout_cost: float = 4.0,
        demand_mean: float = 6.0,
        capacity: int = 20,
    ) -> None:
        if min(fixed_cost, holding_cost) < 0 or min(stockout_cost, demand_mean) <= 0 or capacity < 1:
            raise TaskError(
                "task.kwargs: fixed_cost and holding_cost of at least 0, stockout_cost and demand_mean above 0 and a "
                "capacity of at least 1 are needed, not "
                f"{fixed_cost}, {holding_cost}, {stockout_cost}, {demand_mean} and {capacity}"
            )
        self.fixed_cost, self.holding_cost, self.stockout_cost = fixed_cost, holding_cost, stockout_cost
        self.demand_mean, self.capacity = demand_mean, capacity
        bound = np.float32(capacity / demand_mean)
        self.observation_space = spaces.Box(-bound, bound, (1,), np.float32)
        self.action_space = spaces.Discrete(capacity + 1)
        self._stock = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._stock = 0
        return self._observation(), self._info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        left = min(self._stock + int(action), self.capacity) - int(self.np_random.poisson(self.demand_mean))
        cost = self.fixed_cost * (action > 0) + self.holding_cost * max(left, 0) + self.stockout_cost * max(-left, 0)
        self._stock = max(left, -self.capacity)
        return self._observation(), -float(cost), False, False, self._info()

    def get_state(self) -> dict[str, Any]:
        """The state that determines the coming steps, besides `np_random`."""
        return {"stock": self._stock}

    def set_state(self, state: dict[str, Any]) -> None:
        self._stock = int(state["stock"])

    def observed(self, stocks: Any) -> np.ndarray:
        """The observations, float32[…, 1], of units in stock […]."""
        return (np.asarray(stocks)[..., np.newaxis] / self.demand_mean).astype(np.float32)

    def legal(self, stocks: Any) -> np.ndarray:
        """The orders that the capacity allows, bool[…, capacity + 1], for units in stock […]."""
        return np.arange(self.capacity + 1) <= self.capacity - np.asarray(stocks)[..., np.newaxis]

    def _observation(self) -> np.ndarray:
        return self.observed(self._stock)

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self.legal(self._stock)}
