"""`SparseChain`: a reward worth having at the far end of a chain, and a small one that lures back to its start."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class SparseChain(gymnasium.Env):
    """Twenty states in a row, after Osband et al. 2016, *Deep exploration via bootstrapped DQN*, section 5.1.

    An episode begins in the second state and has N + 9 steps; action 0 goes left, 1 right. Every step that ends in the
    first state gives 0.001, every one that ends in the last gives 1: 12 for those who go straight there, and 0.029 for
    those who stay at the start. A state is seen as a thermometer: as many ones as it has states to its left, and one.

    A walk at random gets to the end in one episode of 1,650; one that goes right one step in ten, in one of 10^17.
    """

    LENGTH = 20

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (self.LENGTH,), np.float32)
        self.action_space = spaces.Discrete(2)
        self._position = 1

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._position = 1
        return self._thermometer(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._position = min(max(self._position + (1 if action == 1 else -1), 0), self.LENGTH - 1)
        reward = {0: 0.001, self.LENGTH - 1: 1.0}.get(self._position, 0.0)
        return self._thermometer(), reward, False, False, {}

    def _thermometer(self) -> np.ndarray:
        return (np.arange(self.LENGTH) <= self._position).astype(np.float32)


gymnasium.register("SparseChain-v0", f"{__name__}:SparseChain", max_episode_steps=SparseChain.LENGTH + 9)
