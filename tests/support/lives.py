"""A game of three lives, whose rewards are larger than one, and the same without a word of its lives."""

import gymnasium
import numpy as np
from gymnasium import spaces

REWARDS = np.array([5, 5, -0.5] * 4, np.float32)  # of a whole game


class ThreeLives(gymnasium.Env):
    """Five for a step, minus a half for every third; a life goes at each fourth, the game with the last of three."""

    observation_space = spaces.Box(-1.0, 100.0, (1,))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._answer()

    def step(self, action):
        self._steps += 1
        observation, info = self._answer()
        return observation, float(REWARDS[self._steps - 1]), self._steps == 12, False, info

    def _answer(self):
        return np.array([self._steps], np.float32), {"lives": 3 - self._steps // 4, "other": object()}


class NoLives(ThreeLives):
    def _answer(self):
        return super()._answer()[0], {}


gymnasium.register("ThreeLives-v0", ThreeLives)
gymnasium.register("NoLives-v0", NoLives)
