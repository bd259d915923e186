"""Learned orders beside the best (s, S) policy, the order-up-to policy of a newsvendor, and chance.

    python -m examples.fields.inventory RUN [--picture FILE.png]

Prints one JSON object: what a period costs in the long run under each. Nothing is simulated: under a policy, stock is a
Markov chain, whose stationary distribution gives the mean cost.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import poisson

import tfdqn
from tfdqn.tasks.fields.inventory import Inventory

Choice = Callable[[np.ndarray, np.ndarray], Any]  # observations float32[B, 1], legal bool[B, A] → an action for each


def stocks_of(shop: Inventory) -> np.ndarray:
    """What may be in stock, int[2 C + 1]."""
    return np.arange(-shop.capacity, shop.capacity + 1)


def periods(shop: Inventory) -> tuple[np.ndarray, np.ndarray]:
    """(chances float64[y, x] that x is left of y after the order, mean cost float64[y] without the order's)."""
    stocks = stocks_of(shop)
    demand = np.arange(int(poisson.ppf(1 - 1e-12, shop.demand_mean)) + 1)
    chance = poisson.pmf(demand, shop.demand_mean)
    left = stocks[:, np.newaxis] - demand
    unit_costs = np.where(left > 0, shop.holding_cost * left, -shop.stockout_cost * left)
    chances = np.zeros((len(stocks), len(stocks)))
    rows = np.broadcast_to(np.arange(len(stocks))[:, np.newaxis], left.shape)
    np.add.at(chances, (rows, np.maximum(left, -shop.capacity) + shop.capacity), chance)
    return chances, unit_costs @ chance


def mean_cost(shop: Inventory, orders: np.ndarray) -> float:
    """Of a period in the long run; orders float64[x, a], the chances of each order at each stock."""
    chances, unit_costs = periods(shop)
    size, amounts = orders.shape
    after = np.minimum(np.arange(size)[:, np.newaxis] + np.arange(amounts), size - 1)  # index of y
    moves = (orders[..., np.newaxis] * chances[after]).sum(axis=1)
    cost = (orders * (unit_costs[after] + shop.fixed_cost * (np.arange(amounts) > 0))).sum(axis=1)
    equations = np.vstack([moves.T - np.eye(size), np.ones(size)])
    stationary = np.linalg.lstsq(equations, np.eye(size + 1)[-1], rcond=None)[0]
    return float(stationary @ cost)


def of_amounts(shop: Inventory, amounts: np.ndarray) -> np.ndarray:
    """Chances float64[x, a] of a policy that orders int[x]."""
    return np.eye(shop.capacity + 1)[amounts]


def order_up_to(shop: Inventory, below: int, level: int) -> np.ndarray:
    """The (s, S) policy's orders int[x]: up to S = level where stock is at most s = below, as far as one order goes."""
    return np.where(stocks_of(shop) <= below, np.clip(level - stocks_of(shop), 0, shop.capacity), 0)


def best(shop: Inventory) -> tuple[int, int]:
    """(s, S) of the lowest mean cost, of all that there are."""
    pairs = [(below, level) for level in range(1, shop.capacity + 1) for below in range(-shop.capacity, level)]
    return min(pairs, key=lambda pair: mean_cost(shop, of_amounts(shop, order_up_to(shop, *pair))))


def newsvendor_level(shop: Inventory) -> int:
    """The least level that meets a period's demand with the chance p / (p + h): best where orders cost nothing."""
    return int(poisson.ppf(shop.stockout_cost / (shop.stockout_cost + shop.holding_cost), shop.demand_mean))


def learned_amounts(shop: Inventory, policy: Choice) -> np.ndarray:
    """A policy's orders int[x]."""
    stocks = stocks_of(shop)
    return np.asarray(policy(shop.observed(stocks), shop.legal(stocks)))


def compare(policy: Choice, shop: Inventory) -> dict[str, Any]:
    """The mean cost of a period under each, and its ratio to the best's."""
    below, level = best(shop)
    every = np.where(shop.legal(stocks_of(shop)), 1.0, 0.0)
    orders = {
        f"best (s, S): ({below}, {level})": of_amounts(shop, order_up_to(shop, below, level)),
        "learned": of_amounts(shop, learned_amounts(shop, policy)),
        f"newsvendor, up to {(most := newsvendor_level(shop))}": of_amounts(shop, order_up_to(shop, most - 1, most)),
        "random": every / every.sum(axis=1, keepdims=True),
    }
    found = {name: mean_cost(shop, each) for name, each in orders.items()}
    least = next(iter(found.values()))
    return {name: {"cost": round(cost, 4), "times the best": round(cost / least, 4)} for name, cost in found.items()}


def draw(policy: Choice, shop: Inventory, file: Path) -> None:
    """A picture of the orders at each stock, the learned ones and the best."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.step(stocks_of(shop), learned_amounts(shop, policy), where="mid", label="learned")
    axes.step(stocks_of(shop), order_up_to(shop, *best(shop)), where="mid", label="best (s, S)", linestyle="--")
    axes.set(xlabel="stock", ylabel="order")
    axes.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--picture", type=Path, help="where to draw the orders")
    return parser


def main() -> None:
    options = parser().parse_args()
    shop = Inventory(**tfdqn.load_config(options.run / "config.toml").task.kwargs)
    policy = tfdqn.load_policy(options.run)
    print(json.dumps(compare(policy, shop), indent=2))
    if options.picture:
        draw(policy, shop, options.picture)


if __name__ == "__main__":
    main()
