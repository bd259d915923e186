"""EnvPool's highway is highway-env's: the same road and traffic, played side by side.

Of other vehicles the exponent of each one's driver model, drawn from 3.5 to 4.5, can't be seen, and so not copied.
"""

import gymnasium
import numpy as np
import pytest

from tfdqn.config import Task
from tfdqn.tasks.registry import make_task

pytestmark = pytest.mark.tasks

# What an observation's columns are divided by (highway-env's KinematicObservation.normalize_obs, three lanes).
UNITS = np.array([1, 200, 12, 80, 80.0])
MERGE_UNITS = np.array([1, 200, 8, 80, 80.0])  # of two lanes
METRE = 1 / 200


@pytest.fixture(autouse=True)
def drivers_as_they_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """highway-env's intersection, which listing tasks makes, changes the driver model of all roads of the process."""
    from highway_env.vehicle.behavior import IDMVehicle

    monkeypatch.setattr(IDMVehicle, "DISTANCE_WANTED", 5.0 + IDMVehicle.LENGTH)
    monkeypatch.setattr(IDMVehicle, "COMFORT_ACC_MAX", 3.0)
    monkeypatch.setattr(IDMVehicle, "COMFORT_ACC_MIN", -5.0)


def twin(observation: np.ndarray) -> gymnasium.Env:
    """highway-env's own, its vehicles where `observation`, of the first step, has them."""
    from highway_env.vehicle.behavior import IDMVehicle
    from highway_env.vehicle.controller import MDPVehicle

    kinematics = {"type": "Kinematics", "vehicles_count": len(observation)}
    config = {"vehicles_count": 0, "observation": kinematics}
    env = gymnasium.make("highway_env:highway-fast-v0", config=config).unwrapped
    env.reset(seed=0)
    own, *others = (observation.astype(float) * UNITS)[observation[:, 0] == 1]
    driver = MDPVehicle(env.road, own[1:3], 0.0, own[3])
    env.road.vehicles[:] = [driver]
    env.controlled_vehicles = [driver]
    for each in others:
        vehicle = IDMVehicle(env.road, driver.position + each[1:3], 0.0, driver.speed + each[3])
        vehicle.check_collisions = False  # as highway-fast has it
        env.road.vehicles.append(vehicle)
    env.define_spaces()
    return env


def gaps(num_envs: int, traffic: int, steps: int) -> np.ndarray:
    """[rows, 5]: step; largest difference of what the driver and of what the others do; of rewards; of ends."""
    kwargs = {"vehicles_count": traffic, "observation_vehicles_count": max(traffic, 1) + 1}
    task = make_task(Task(id="highway-fast-v0", suite="envpool", num_envs=num_envs, kwargs=kwargs))
    rng, rows = np.random.default_rng(1), []
    twins = [twin(each) for each in task.reset(4)[0]["observation"]]
    running = np.ones(num_envs, bool)
    for number in range(steps):
        actions = rng.integers(5, size=num_envs).astype(np.int32)
        step = task.step(actions)
        for index in np.flatnonzero(running):
            seen, reward, terminated, truncated, _ = twins[index].step(int(actions[index]))
            gap = np.abs(seen - step.observation["observation"][index])
            differs = (terminated, truncated) != (step.terminated[index], step.truncated[index])
            rows.append((number, gap[0].max(), gap[1:].max(), abs(reward - step.reward[index]), differs))
            running[index] = not (terminated or truncated or step.ended[index])
    return np.array(rows, float)


def test_a_driver_alone_drives_the_same_to_the_end_of_the_episode() -> None:
    found = gaps(num_envs=12, traffic=0, steps=31)
    assert len(found) == 12 * 30 and found[:, 1:].max() < 1e-6


def test_among_others_the_driver_does_the_same_and_traffic_keeps_within_metres() -> None:
    found = gaps(num_envs=24, traffic=6, steps=20)
    first = found[found[:, 0] == 0]
    assert len(first) == 24 and len(found) > 200
    assert first[:, 2].max() < 0.2 * METRE and np.median(found[:, 2]) < 2 * METRE
    # Until a lane change or an accident that only one of the two has, by centimetres.
    for column in (1, 3):
        assert first[:, column].max() < 1e-6 and np.mean(found[:, column] < 1e-6) > 0.9
    assert not first[:, 4].any() and found[:, 4].sum() <= 3


def first_observations(task_id: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """float32[count, 5, 5] of EnvPool and of highway-env."""
    env = gymnasium.make(f"highway_env:{task_id}")
    pool = make_task(Task(id=task_id, suite="envpool", num_envs=count)).reset(3)[0]["observation"]
    return pool, np.array([env.reset(seed=seed)[0] for seed in range(count)])


def test_traffic_is_drawn_alike() -> None:
    """Within five standard errors of a mean and of a deviation, which is no more than a mean's own."""
    pool, own = first_observations("highway-fast-v0", 200)
    for statistic in (np.mean, np.std):
        gap = np.abs(statistic(pool, axis=0) - statistic(own, axis=0))
        assert (gap <= 5 * own.std(axis=0) * np.sqrt(2 / 200) + 1e-6).all()


def merge_twin(observation: np.ndarray, hidden_lane: int) -> gymnasium.Env:
    """highway-env's own; the vehicle behind the driver can't be seen at the start, and may be on either lane."""
    from highway_env.vehicle.behavior import IDMVehicle

    env = gymnasium.make("highway_env:merge-v0").unwrapped
    env.reset(seed=0)
    driver, *_, merging = env.road.vehicles
    near, far = observation[1:3].astype(float) * MERGE_UNITS
    others = [IDMVehicle(env.road, driver.position + each[1:3], 0.0, driver.speed + each[3]) for each in (far, near)]
    behind = IDMVehicle(env.road, np.array([5.0, 4.0 * hidden_lane]), 0.0, 31.5)
    env.road.vehicles[:] = [driver, *others, behind, merging]
    return env


def test_a_merge_is_driven_the_same() -> None:
    """To its end, with one of the two places that the vehicle behind may have."""
    task = make_task(Task(id="merge-v0", suite="envpool", num_envs=6))
    twins = [[merge_twin(each, lane) for lane in (0, 1)] for each in task.reset(3)[0]["observation"]]
    gaps, running, rng = np.zeros((6, 2)), np.ones(6, bool), np.random.default_rng(2)
    while running.any():
        actions = rng.integers(5, size=6).astype(np.int32)
        step = task.step(actions)
        for index in np.flatnonzero(running):
            for lane, env in enumerate(twins[index]):
                seen, reward, terminated, *_ = env.step(int(actions[index]))
                gap = max(np.abs(seen - step.observation["observation"][index]).max(), abs(reward - step.reward[index]))
                gaps[index, lane] = max(gaps[index, lane], gap, terminated != step.terminated[index])
        running &= ~step.terminated
    assert gaps.min(axis=1).max() < 1e-4


def test_of_merge_the_starts_differ() -> None:
    """The two vehicles in sight ahead are in either of two lanes in highway-env, in EnvPool's all in the driver's."""
    pool, own = (each[:, 1:3] for each in first_observations("merge-v0", 64))
    assert set(pool[..., 2].flat) == {0.0} and set(own[..., 2].flat) == {0.0, -0.5}
    for column in (1, 3):
        np.testing.assert_allclose(pool[..., column].mean(0), own[..., column].mean(0), atol=0.01)
