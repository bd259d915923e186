"""The battery: a day worked out by hand, its days."""

import numpy as np
import pytest

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.fields.battery import CHARGE, DISCHARGE, IDLE, Battery
from tfdqn.tasks.registry import resolve_spec

PRICES = [10.0, 20.0, 30.0, 100.0, 50.0, 200.0, -40.0, *[60.0] * 17]


@pytest.fixture
def file(tmp_path) -> str:
    """A file with one day."""
    rows = [f"2026-01-01T{hour:02}:00,{price}" for hour, price in enumerate(PRICES)]
    (tmp_path / "day.csv").write_text("\n".join(["time,price", *rows]))
    return str(tmp_path / "day.csv")


def test_a_day_by_hand(file: str) -> None:
    """2 MWh, 1 MW, 0.81 of it comes back: 0.9 each way; 4 EUR for each MWh sold."""
    battery = Battery(efficiency=0.81, degradation_cost=4.0, prices_file=file)
    observation, _ = battery.reset(seed=1)
    np.testing.assert_allclose(observation, [0.0, 1.0, *np.array(PRICES) / 100], rtol=1e-6)
    hand = [  # action, reward, energy stored afterwards
        (CHARGE, -10.0, 0.9),  # buys 1 MWh, of which 0.9 arrive
        (CHARGE, -20.0, 1.8),
        (CHARGE, -30.0 * 2 / 9, 2.0),  # there is room for 0.2: 0.2 / 0.9 are bought
        (DISCHARGE, 100.0 - 4.0, 2.0 - 1 / 0.9),  # sells 1 MWh, which takes 1 / 0.9
        (DISCHARGE, (50.0 - 4.0) * 0.8, 0.0),  # 0.9 of the 0.888… that are left are 0.8
        (DISCHARGE, 0.0, 0.0),  # nothing is left for the dearest hour
        (CHARGE, 40.0, 0.9),  # paid for taking power
        (IDLE, 0.0, 0.9),
    ]
    for hour, (action, reward, stored) in enumerate(hand, start=1):
        observation, given, terminated, truncated, _ = battery.step(action)
        assert given == pytest.approx(reward)
        assert observation[:2] == pytest.approx([stored / 2, 1 - hour / 24])
        coming = np.zeros(24)
        coming[: 24 - hour] = np.array(PRICES[hour:]) / 100
        np.testing.assert_allclose(observation[2:], coming, rtol=1e-6)
        assert not terminated and not truncated
    ends = [battery.step(IDLE)[2] for _ in range(24 - len(hand))]
    assert ends == [False] * 15 + [True]


def test_days_are_drawn_anew_and_repeat_with_their_seed() -> None:
    battery, other = Battery(), Battery()
    first, second = battery.reset(seed=3)[0], battery.reset()[0]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(other.reset(seed=3)[0], first)
    np.testing.assert_array_equal(other.reset()[0], second)


def test_a_gap_in_the_users_file_is_one_line(file: str) -> None:
    with open(file, "a") as day:
        day.write("\n2026-01-02T01:00,5")
    with pytest.raises(TaskError) as caught:
        resolve_spec(Task(id="tfdqn/Battery-v0", kwargs={"prices_file": file}))
    assert str(caught.value).startswith(f"{file}, row 26, column time: ")
