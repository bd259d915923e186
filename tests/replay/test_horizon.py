"""The schedules of n and γ: Schwarzer et al. 2023."""

import pytest

from tfdqn.config import DQN
from tfdqn.replay.horizon import Horizon


def test_n_and_the_distance_of_the_discount_from_one_go_by_constant_factors() -> None:
    # 10 → 3: √(10 · 3) = 5.48 half-way. 1 − γ: 0.03 → 0.003, √(0.03 · 0.003) = 0.0094868 half-way.
    horizon = Horizon.of(DQN(n_step=10, n_step_end=3, discount=0.97, discount_end=0.997, horizon_env_steps=1000))
    assert (horizon.longest, horizon.is_constant) == (10, False)
    assert horizon.at(0) == pytest.approx((10, 0.97))
    assert horizon.at(500) == pytest.approx((5, 0.9905132))
    for late in (1000, 10**9):
        assert horizon.at(late) == pytest.approx((3, 0.997))


def test_either_may_stay_as_it_is_and_n_may_grow() -> None:
    assert Horizon(1, 0.9, n_step_end=16, env_steps=4).at(2) == (4, 0.9)
    assert Horizon(1, 0.9, n_step_end=16, env_steps=4).longest == 16
    assert Horizon(2, 0.9, discount_end=0.99, env_steps=2).at(1) == pytest.approx((2, 1 - 0.1**1.5))
    assert Horizon.of(DQN(n_step=3, discount=0.5)).is_constant
