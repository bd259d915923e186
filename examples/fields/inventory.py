"""Learned orders beside the best (s, S) policy, the order-up-to policy of a newsvendor, and chance.

    python -m examples.fields.inventory RUN [--picture FILE.png]

Prints one JSON object: what a period costs in the long run under each. Nothing is simulated: under a policy, stock is a
Markov chain, whose stationary distribution gives the mean cost.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import poisson

import tfdqn

Choice = Callable[[np.ndarray, np.ndarray], Any]  # observations float32[B, 1], legal bool[B, A] → an action for each


class Costs(NamedTuple):
    """As `Inventory`'s arguments."""

    fixed_cost: float = 5.0
    holding_cost: float = 1.0
    stockout_cost: float = 4.0
    demand_mean: float = 6.0
    capacity: int = 20

    @property
    def stocks(self) -> np.ndarray:
        """What may be in stock, int[2 C + 1]."""
        return np.arange(-self.capacity, self.capacity + 1)


def periods(costs: Costs) -> tuple[np.ndarray, np.ndarray]:
    """(chances float64[y, x] that x is left of y after the order, mean cost float64[y] without the order's)."""
    stocks = costs.stocks
    demand = np.arange(int(poisson.ppf(1 - 1e-12, costs.demand_mean)) + 1)
    chance = poisson.pmf(demand, costs.demand_mean)
    left = stocks[:, np.newaxis] - demand
    unit_costs = np.where(left > 0, costs.holding_cost * left, -costs.stockout_cost * left)
    chances = np.zeros((len(stocks), len(stocks)))
    rows = np.broadcast_to(np.arange(len(stocks))[:, np.newaxis], left.shape)
    np.add.at(chances, (rows, np.maximum(left, -costs.capacity) + costs.capacity), chance)
    return chances, unit_costs @ chance


def mean_cost(costs: Costs, orders: np.ndarray) -> float:
    """Of a period in the long run; orders float64[x, a], the chances of each order at each stock."""
    chances, unit_costs = periods(costs)
    size, amounts = orders.shape
    after = np.minimum(np.arange(size)[:, np.newaxis] + np.arange(amounts), size - 1)  # index of y
    moves = (orders[..., np.newaxis] * chances[after]).sum(axis=1)
    cost = (orders * (unit_costs[after] + costs.fixed_cost * (np.arange(amounts) > 0))).sum(axis=1)
    equations = np.vstack([moves.T - np.eye(size), np.ones(size)])
    stationary = np.linalg.lstsq(equations, np.eye(size + 1)[-1], rcond=None)[0]
    return float(stationary @ cost)


def of_amounts(costs: Costs, amounts: np.ndarray) -> np.ndarray:
    """Chances float64[x, a] of a policy that orders int[x]."""
    return np.eye(costs.capacity + 1)[amounts]


def order_up_to(costs: Costs, below: int, level: int) -> np.ndarray:
    """The (s, S) policy's orders int[x]: up to S = level where stock is at most s = below, as far as one order goes."""
    return np.where(costs.stocks <= below, np.clip(level - costs.stocks, 0, costs.capacity), 0)


def best(costs: Costs) -> tuple[int, int]:
    """(s, S) of the lowest mean cost, of all that there are."""
    pairs = [(below, level) for level in range(1, costs.capacity + 1) for below in range(-costs.capacity, level)]
    return min(pairs, key=lambda pair: mean_cost(costs, of_amounts(costs, order_up_to(costs, *pair))))


def newsvendor_level(costs: Costs) -> int:
    """The least level that meets a period's demand with the chance p / (p + h): best where orders cost nothing."""
    return int(poisson.ppf(costs.stockout_cost / (costs.stockout_cost + costs.holding_cost), costs.demand_mean))


def learned_amounts(costs: Costs, policy: Choice) -> np.ndarray:
    """A policy's orders int[x]."""
    observations = (costs.stocks[:, np.newaxis] / costs.demand_mean).astype(np.float32)
    return np.asarray(policy(observations, legal(costs)))


def legal(costs: Costs) -> np.ndarray:
    """The orders that keep within the capacity, bool[x, a]."""
    return np.arange(costs.capacity + 1) <= costs.capacity - costs.stocks[:, np.newaxis]


def compare(policy: Choice, costs: Costs) -> dict[str, Any]:
    """The mean cost of a period under each, and its ratio to the best's."""
    below, level = best(costs)
    every = np.where(legal(costs), 1.0, 0.0)
    orders = {
        f"best (s, S): ({below}, {level})": of_amounts(costs, order_up_to(costs, below, level)),
        "learned": of_amounts(costs, learned_amounts(costs, policy)),
        f"newsvendor, up to {(most := newsvendor_level(costs))}": of_amounts(costs, order_up_to(costs, most - 1, most)),
        "random": every / every.sum(axis=1, keepdims=True),
    }
    found = {name: mean_cost(costs, each) for name, each in orders.items()}
    least = next(iter(found.values()))
    return {name: {"cost": round(cost, 4), "times the best": round(cost / least, 4)} for name, cost in found.items()}


def draw(policy: Choice, costs: Costs, file: Path) -> None:
    """A picture of the orders at each stock, the learned ones and the best."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.step(costs.stocks, learned_amounts(costs, policy), where="mid", label="learned")
    axes.step(costs.stocks, order_up_to(costs, *best(costs)), where="mid", label="best (s, S)", linestyle="--")
    axes.set(xlabel="stock", ylabel="order")
    axes.legend()
    figure.savefig(file, dpi=110)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--picture", type=Path, help="where to draw the orders")
    return parser


def main() -> None:
    options = parser().parse_args()
    costs = Costs(**tfdqn.load_config(str(options.run / "config.toml")).task.kwargs)
    policy = tfdqn.load_policy(options.run)
    print(json.dumps(compare(policy, costs), indent=2))
    if options.picture:
        draw(policy, costs, options.picture)


if __name__ == "__main__":
    main()
