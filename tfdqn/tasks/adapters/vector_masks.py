"""Masks of a task's own vector version: taken from where they are, checked, and left where the others are."""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from tfdqn.tasks.adapters.legal_actions import MASK, MaskReader, MaskSource, without_masks
from tfdqn.tasks.contract import STEP, Breach, unpacked


class VectorMasks(VectorWrapper):
    """Gives `info["action_mask"]`, bool[E, A], wherever its environments give their masks.

    Args:
      env: which `gives_masks`.
      source: where they are.
      task_id: for errors.
    """

    def __init__(self, env: VectorEnv, source: MaskSource, task_id: str):
        super().__init__(env)
        self._task_id, self._steps = task_id, 0
        self._reader = MaskReader(source, env, task_id)
        self.single_observation_space = without_masks(env.single_observation_space, source.place)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self._steps = 0
        answer = self.env.reset(seed=seed, options=options)
        try:
            observation, info = unpacked("reset", answer, ("observation", "info"))
            return observation, info | self._reader.many(observation, info, np.zeros(self.num_envs, np.bool_))
        except Breach as breach:
            raise breach.error(self._task_id, 0) from None

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self._steps += 1
        answer = self.env.step(actions)
        try:
            observation, reward, terminated, truncated, info = unpacked("step", answer, STEP)
            masks = self._reader.many(observation, info, np.asarray(terminated, np.bool_))
        except Breach as breach:
            raise breach.error(self._task_id, self._steps) from None
        return observation, reward, terminated, truncated, info | masks


def gives_masks(env: VectorEnv, source: MaskSource) -> bool:
    """Whether a task's own vector version gives its masks where one environment does. It is reset to see that."""
    if source.place == "observation":
        space = env.single_observation_space
        return isinstance(space, spaces.Dict) and MASK in space.spaces
    if source.place == "info":
        return MASK in env.reset(seed=0)[1]
    return callable(getattr(env, source.place.partition(":")[2], None))
