"""A game of three lives, whose rewards are larger than one, and the same without a word of its lives."""

import gymnasium
import numpy as np
from gymnasium import spaces

REWARDS = np.array([5, 5, -0.5] * 4, np.float32)  # of a whole game


class ThreeLives(gymnasium.Env):
    """Five for a step, minus a half for every third; a life goes at each fourth, the game with the last of three.

    Every one raises at step `fails_at`; with `odd_lives` that is what it tells of its lives at the second.
    """

    observation_space = spaces.Box(-1.0, 100.0, (1,))
    action_space = spaces.Discrete(2)

    def __init__(self, fails_at=None, odd_lives=3):
        self._fails_at, self._odd_lives = fails_at, odd_lives

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._answer()

    def step(self, action):
        self._steps += 1
        if self._steps == self._fails_at:
            raise RuntimeError("broken")
        observation, info = self._answer()
        return observation, float(REWARDS[self._steps - 1]), self._steps == 12, False, info

    def get_state(self):
        return {"steps": self._steps}

    def set_state(self, state):
        self._steps = int(state["steps"])

    def _answer(self):
        info = {"lives": 3 - self._steps // 4, "other": object()}
        if self._steps == 2 and self._odd_lives != 3:
            info["lives"] = self._odd_lives
        if info["lives"] is None:
            del info["lives"]
        return np.array([self._steps], np.float32), info


class NoLives(ThreeLives):
    def _answer(self):
        return super()._answer()[0], {}


gymnasium.register("ThreeLives-v0", ThreeLives)
gymnasium.register("NoLives-v0", NoLives)
