"""The comparison of docs/fields/scheduling.md for inventory: exact costs against published ones and a simulation."""

import numpy as np
import pytest

from examples.fields.inventory import best, compare, mean_cost, newsvendor_level, of_amounts, order_up_to, stocks_of
from tfdqn.tasks.fields.inventory import Inventory


def test_the_best_policy_is_the_published_one() -> None:
    """Snyder and Shen, Fundamentals of Supply Chain Theory, 2nd ed. 2019, example 4.7: (4, 10) at 8.034."""
    shop = Inventory(fixed_cost=5.0, holding_cost=1.0, stockout_cost=4.0, demand_mean=6.0)
    assert best(shop) == (4, 10)
    assert mean_cost(shop, of_amounts(shop, order_up_to(shop, 4, 10))) == pytest.approx(8.034, abs=5e-4)


def test_without_a_fixed_cost_the_newsvendor_is_best() -> None:
    """P(d ≤ 8) = 0.847 is the first to reach 4 / 5. A period then costs E[max(8 - d, 0)] + 4 E[max(d - 8, 0)]."""
    shop = Inventory(fixed_cost=0.0)
    level = newsvendor_level(shop)
    assert level == 8 and best(shop) == (level - 1, level)
    demand = np.random.default_rng(0).poisson(6.0, 1_000_000)
    by_hand = np.maximum(8 - demand, 0).mean() + 4 * np.maximum(demand - 8, 0).mean()
    cost = mean_cost(shop, of_amounts(shop, order_up_to(shop, level - 1, level)))
    assert cost == pytest.approx(by_hand, abs=0.02)


def test_the_exact_cost_is_that_of_the_environment() -> None:
    """Of a policy that orders at random whatever is legal, and of one that does so only below 3."""
    shop = Inventory(fixed_cost=3.0, holding_cost=0.5, stockout_cost=2.0, demand_mean=4.0, capacity=9)
    anything = np.where(shop.legal(stocks_of(shop)), 1.0, 0.0)
    orders = np.where((stocks_of(shop) < 3)[:, np.newaxis], anything, np.eye(10)[0])
    orders /= orders.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(1)
    observation, _ = shop.reset(seed=2)
    paid = np.zeros(40_000)
    for period in range(len(paid)):
        stock = round(float(observation[0]) * shop.demand_mean)
        observation, reward, *_ = shop.step(int(rng.choice(10, p=orders[stock + shop.capacity])))
        paid[period] = -reward
    assert paid.mean() == pytest.approx(mean_cost(shop, orders), rel=0.02)


def test_a_policy_is_compared_with_the_rest() -> None:
    shop = Inventory()

    def policy(observations: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """(3, 10), from what a policy is shown."""
        stock = np.rint(observations[:, 0] * 6).astype(int)
        np.testing.assert_array_equal(allowed, np.arange(21) <= 20 - stock[:, np.newaxis])
        return np.where(stock <= 3, np.clip(10 - stock, 0, 20), 0)

    found = compare(policy, shop)
    assert list(found) == ["best (s, S): (4, 10)", "learned", "newsvendor, up to 8", "random"]
    assert found["learned"]["cost"] == round(mean_cost(shop, of_amounts(shop, order_up_to(shop, 3, 10))), 4)
    assert 1 < found["learned"]["times the best"] < found["newsvendor, up to 8"]["times the best"] < 1.2
    assert found["random"]["times the best"] > 1.5
