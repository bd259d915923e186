"""A task of Atari's shape, Pictures-v0, that costs an actor nothing: 84 × 84 grey pixels at random."""

import gymnasium
import numpy as np

_ACTIONS, _STEPS = 6, 500
_FRAMES = np.random.default_rng(0).integers(256, size=(64, 84, 84), dtype=np.uint8)


class Pictures(gymnasium.Env):
    """Episodes of 500 steps; action 1 is rewarded."""

    observation_space = gymnasium.spaces.Box(0, 255, (84, 84), np.uint8)
    action_space = gymnasium.spaces.Discrete(_ACTIONS)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._steps = 0
        return _FRAMES[0], {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._steps += 1
        return _FRAMES[self._steps % len(_FRAMES)], float(action == 1), self._steps >= _STEPS, False, {}


gymnasium.register("Pictures-v0", f"{__name__}:Pictures")
