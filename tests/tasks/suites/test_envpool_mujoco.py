"""EnvPool's MuJoCo tasks are gymnasium's: from one state the same actions lead to the same, played side by side."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from tfdqn.config import Task
from tfdqn.tasks.adapters.actions import to_environment
from tfdqn.tasks.registry import make_task

pytestmark = pytest.mark.tasks

NUM_ENVS = 8


def state(task_id: str, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(positions, velocities) of a first observation; where the robot is along its way does not matter, nor is seen."""
    if task_id == "InvertedPendulum-v5":
        return seen[:2], seen[2:]
    if task_id == "Hopper-v5":
        return np.append(0.0, seen[:5]), seen[5:]
    cosines, sines, target, velocities = seen[:2], seen[2:4], seen[4:6], seen[6:8]
    return np.append(np.arctan2(sines, cosines), target), np.append(velocities, [0.0, 0.0])


@pytest.mark.parametrize("task_id, steps", [("InvertedPendulum-v5", 6), ("Reacher-v5", 50), ("Hopper-v5", 20)])
def test_the_same_actions_lead_to_the_same(task_id: str, steps: int) -> None:
    task = make_task(Task(id=task_id, suite="envpool", num_envs=NUM_ENVS, action_bins=5))
    own_actions: Any = to_environment(task.spec)
    twins: list[Any] = []
    for seen in task.reset(3)[0]["observation"].astype(float):
        env: Any = gymnasium.make(task_id).unwrapped
        env.reset(seed=0)
        env.set_state(*state(task_id, seen))
        twins.append(env)
    rng, running, compared = np.random.default_rng(1), np.ones(NUM_ENVS, bool), 0
    for number in range(1, steps + 1):
        actions = rng.integers(task.spec.num_actions[0], size=NUM_ENVS).astype(np.int32)
        step = task.step(actions)
        for index in np.flatnonzero(running):
            seen, reward, terminated, _, _ = twins[index].step(own_actions(actions)[index])
            np.testing.assert_allclose(step.observation["observation"][index], seen, atol=1e-4)
            assert step.reward[index] == pytest.approx(reward, abs=1e-5)
            assert step.terminated[index] == terminated
            assert step.truncated[index] == (number == task.spec.max_episode_steps)
            compared, running[index] = compared + 1, not terminated
    assert compared > 3 * NUM_ENVS
