"""A task that only those solve who remember."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class TMaze(gymnasium.Env):
    """A corridor with a junction at its end: what was seen at its beginning says which way to turn there.

    After Bakker 2002, 'Reinforcement learning with long short-term memory', section 3. The observation is float32[2]:
    -1 or 1 at the beginning, 0 afterwards; and 1 at the junction, else 0. Actions: 0 forward, 1 left, 2 right. The
    correct turn ends the task with 1, the wrong one with -1; a step into a wall costs 0.1, and leads nowhere. Without a
    memory no policy gets more than 0 on average; the optimal return is 1.
    """

    LENGTH = 6  # steps from the beginning to the junction

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(3)
        self._position, self._turn = 0, 1

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._position, self._turn = 0, int(self.np_random.integers(1, 3))
        return self._observation(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        at_junction = self._position == self.LENGTH
        if action != 0 and at_junction:
            return self._observation(), 1.0 if action == self._turn else -1.0, True, False, {}
        if (action == 0) == at_junction:
            return self._observation(), -0.1, False, False, {}
        self._position += 1
        return self._observation(), 0.0, False, False, {}

    def _observation(self) -> np.ndarray:
        cue = {1: -1.0, 2: 1.0}[self._turn] if self._position == 0 else 0.0
        return np.array([cue, float(self._position == self.LENGTH)], np.float32)

    def get_state(self) -> dict:
        return {"position": self._position, "turn": self._turn}

    def set_state(self, state: dict) -> None:
        self._position, self._turn = state["position"], state["turn"]


gymnasium.register("TMaze-v0", f"{__name__}:TMaze", max_episode_steps=30)
