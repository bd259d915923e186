"""The inventory: periods by hand, what is legal, the law of demand."""

import numpy as np
import pytest

from tfdqn.config import Task
from tfdqn.tasks.fields.inventory import Inventory
from tfdqn.tasks.registry import make_task


def demands(count: int, mean: float, seed: int) -> list[int]:
    """What `Inventory` draws after a reset with this seed."""
    env = Inventory(demand_mean=mean)
    env.reset(seed=seed)
    return env.np_random.poisson(mean, count).tolist()


def test_periods_by_hand() -> None:
    """Demands of 7, 6, 8 and 3, costs of 5 an order, 2 a unit left over, 3 a unit short."""
    env = Inventory(fixed_cost=5.0, holding_cost=2.0, stockout_cost=3.0, demand_mean=6.0, capacity=12)
    seed = next(seed for seed in range(10**6) if demands(4, 6.0, seed) == [7, 6, 8, 3])
    observation, info = env.reset(seed=seed)
    assert observation == pytest.approx([0.0])
    assert info["action_mask"].tolist() == [True] * 13
    hand = [  # order, cost, stock afterwards
        (10, 5 + 2 * 3, 3),  # 10 - 7 = 3 are left over
        (0, 3 * 3, -3),  # 3 - 6: three customers wait, and nothing was ordered
        (12, 5 + 2 * 1, 1),  # -3 + 12 - 8
        (11, 5 + 2 * 9, 9),  # up to the capacity
    ]
    for order, cost, stock in hand:
        assert info["action_mask"][order]
        observation, reward, terminated, truncated, info = env.step(order)
        assert (reward, terminated, truncated) == (-cost, False, False)
        assert observation == pytest.approx([stock / 6])
        assert info["action_mask"].tolist() == [amount <= 12 - stock for amount in range(13)]


def test_customers_beyond_the_capacity_do_not_wait() -> None:
    env = Inventory(demand_mean=30.0, capacity=4)
    env.reset(seed=1)
    observation, reward, *_ = env.step(0)
    assert observation == pytest.approx([-4 / 30]) and reward < -4 * 4  # though each has his price


def test_demand_is_poissons() -> None:
    env = Inventory(fixed_cost=0.0, holding_cost=1.0, stockout_cost=1.0, demand_mean=6.0, capacity=60)
    stocks = []
    for seed in range(4_000):
        env.reset(seed=seed)
        stocks.append(30 - 6 * float(env.step(30)[0][0]))
    assert np.mean(stocks) == pytest.approx(6.0, abs=0.12)
    assert np.var(stocks) == pytest.approx(6.0, abs=0.45)


def test_a_task_has_the_masks() -> None:
    task = make_task(Task(id="tfdqn/Inventory-v0", num_envs=2, max_episode_steps=100, action_masks=True))
    _, legal = task.reset(1)
    assert legal is not None and legal.all()
    legal = task.step(np.array([9, 3], np.int32)).legal_actions
    assert legal is not None and not legal.all()
