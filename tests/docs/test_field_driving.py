"""The comparison of docs/fields/driving.md: rewards by hand, collisions, and drivers that meet the same traffic."""

from pathlib import Path
from typing import Any

import imageio
import numpy as np
import pytest

from examples.fields.driving import IDLE, compare, drive, make, record_video, wilson
from tfdqn.config import Task

FASTER = 3
EMPTY_ROAD = Task(id="highway-fast-v0", suite="envpool", kwargs={"vehicles_count": 0})
MERGE = Task(id="merge-v0")


def test_wilson_intervals() -> None:
    """8 of 10 in Newcombe 1998's method 3; of n of n the lower end is 1 / (1 + z² / n)."""
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(100, 100) == pytest.approx((1 / (1 + 1.959964**2 / 100), 1.0))
    assert wilson(0, 10) == pytest.approx((0.0, 1 - wilson(10, 10)[0]))


@pytest.mark.tasks
def test_a_tasks_arguments_are_highway_envs() -> None:
    grid = {"config": {"observation": {"type": "OccupancyGrid", "features": ["presence"]}}}
    for task, shape in ((Task(id="highway-fast-v0", kwargs=grid), (1, 11, 11)), (EMPTY_ROAD, (5, 5))):
        env: Any = make(task)
        assert env.observation_space.shape == shape
        assert env.unwrapped.config["vehicles_count"] == (0 if task is EMPTY_ROAD else 20)


@pytest.mark.tasks
def test_an_empty_road_is_driven_to_its_end_and_paid_by_speed_and_lane() -> None:
    """Half of 0.4 for 25 m/s of 20 to 30, half of 0.1 for each lane to the right; -1 to 0.5 are mapped to 0 to 1."""
    env: Any = make(EMPTY_ROAD)
    lanes = []
    for seed in range(4):
        found = drive(lambda _: IDLE, env, seed)
        lane = env.unwrapped.vehicle.lane_index[2]
        assert found.total_reward == pytest.approx(30 * (1 + 0.2 + 0.05 * lane) / 1.5)
        assert not found.is_crashed
        lanes.append(lane)
    assert len(set(lanes)) > 1


@pytest.mark.tasks
def test_who_speeds_up_on_the_lane_of_others_collides() -> None:
    """Before the end of the road, which a driver that has not collided reaches after 370 m."""
    env: Any = make(MERGE)
    for seed in range(4):
        found = drive(lambda _: FASTER, env, seed)
        assert found.is_crashed == (env.unwrapped.vehicle.position[0] <= 370)
    assert found.is_crashed


@pytest.mark.tasks
def test_drivers_meet_the_same_traffic() -> None:
    found = compare(lambda _: IDLE, MERGE, episodes=5, seed=1)
    learned, idle = found["learned"], found["idle"]
    assert {key: learned[key] for key in idle} == idle
    assert learned["return beyond idle"] == 0.0 and learned["return beyond idle, 95 % interval"] == [0.0, 0.0]
    assert learned["return beyond random"] == pytest.approx(idle["return"] - found["random"]["return"], abs=0.02)
    assert 0.0 <= idle["without collision"] <= 1.0
    assert found == compare(lambda _: IDLE, MERGE, episodes=5, seed=1)


@pytest.mark.tasks
def test_an_episode_is_recorded_decision_by_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("OFFSCREEN_RENDERING", "0")
    seen: list[np.ndarray] = []

    def driver(observation: np.ndarray) -> int:
        seen.append(observation)
        return IDLE

    record_video(driver, MERGE, 0, tmp_path / "merge.mp4")
    with imageio.get_reader(tmp_path / "merge.mp4") as frames:
        assert frames.count_frames() == len(seen) + 1
        assert frames.get_data(0).std() > 10  # not all of one colour, as highway-env's are with SDL's dummy driver
