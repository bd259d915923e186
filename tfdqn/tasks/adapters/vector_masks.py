"""`VectorMasks`: reads and checks the masks of a task's own vectorised version, and puts them into `info`."""

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from tfdqn.task_spec import MASK
from tfdqn.tasks.adapters.legal_actions import MaskReader, MaskSource, has_mask, without_masks
from tfdqn.tasks.array_contract import Breach
from tfdqn.tasks.contract import STEP, unpacked


class VectorMasks(VectorWrapper):
    """Puts the masks of its environments, for which `gives_masks` is true, into `info["action_mask"]`.

    They are bool[E, A] or [E, D, A]. `reset` and `step` raise FaultyTaskError for a mask that is missing, malformed or
    without a legal action.
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
    """Whether a task's own vectorised version gives masks where a single environment does; it may be reset."""
    if source.place == "observation":
        return has_mask(env.single_observation_space)
    if source.place == "info":
        return MASK in env.reset(seed=0)[1]
    return callable(getattr(env, source.place.partition(":")[2], None))
