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
METRE = 1 / 200


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
