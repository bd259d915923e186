"""A suite from outside the package: corridors of any length, stepped as one batch by arithmetic of their own."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_spec import TaskSpec, discrete
from tfdqn.tasks.observations import observation_specs
from tfdqn.tasks.registry import register_suite
from tfdqn.tasks.suites.suite import TaskEntry


class Corridors(VectorEnv):
    """Action 1 leads towards the end of a corridor, which gives 1 and ends the episode; action 0 back."""

    single_observation_space = spaces.Box(0.0, 1.0, (1,))
    single_action_space = spaces.Discrete(2)

    def __init__(self, length: int, num_envs: int) -> None:
        self.num_envs, self._length = num_envs, length
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[np.ndarray, dict]:
        self._at = self._steps = np.zeros(self.num_envs, int)
        self._done = np.zeros(self.num_envs, bool)
        return self._observe(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        self._at = np.where(self._done, 0, np.maximum(self._at + 2 * actions - 1, 0))
        self._steps = np.where(self._done, 0, self._steps + 1)
        is_end, is_late = self._at == self._length, self._steps >= 5 * self._length
        self._done = is_end | is_late
        return self._observe(), is_end * 1.0, is_end, is_late, {}

    def _observe(self) -> np.ndarray:
        return (self._at[:, None] / self._length).astype(np.float32)


class CorridorSuite:
    """Its ids are "corridor/3" for one of three steps, and so on."""

    def check(self, task: Task) -> None:
        if not task.id.rpartition("/")[2].isdecimal():
            raise TaskError(f'unknown task "{task.id}"; corridor/3 is one of three steps')

    def describe(self, task: Task) -> TaskSpec:
        self.check(task)
        observation = observation_specs(Corridors.single_observation_space)
        return TaskSpec(id=task.id, observation=observation, actions=discrete(2))

    def environments(self, task: Task, render_mode: str | None) -> tuple[TaskSpec, Callable[[], VectorEnv]]:
        length = int(task.id.rpartition("/")[2])
        return self.describe(task), lambda: Corridors(length, task.num_envs)

    def installed(self) -> list[TaskEntry]:
        return [TaskEntry("corridor/3", "", own_vector_version=True)]


register_suite("corridor", CorridorSuite())
