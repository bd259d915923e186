"""CartPole whose observations are a thousand times as large, and shifted, each number by another amount."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv

FACTOR = np.float32(1000.0)
SHIFT = np.array([5000.0, -2000.0, 300.0, 8000.0], np.float32)
SPACE = spaces.Box(-np.inf, np.inf, (4,))


class ScaledCartPole(gymnasium.ObservationWrapper):
    def __init__(self, max_episode_steps: int = 500):
        super().__init__(gymnasium.wrappers.TimeLimit(CartPoleEnv(), max_episode_steps))
        self.observation_space = SPACE

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return FACTOR * observation + SHIFT


class ScaledCartPoles(gymnasium.vector.VectorWrapper):
    """Its vector version."""

    def __init__(self, num_envs: int, max_episode_steps: int = 500):
        super().__init__(CartPoleVectorEnv(num_envs, max_episode_steps=max_episode_steps))
        self.single_observation_space = SPACE
        self.observation_space = gymnasium.vector.utils.batch_space(SPACE, num_envs)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
        observation, info = self.env.reset(**kwargs)
        return FACTOR * observation + SHIFT, info

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, Any, Any, Any, dict]:
        observation, *rest = self.env.step(actions)
        return (FACTOR * observation + SHIFT, *rest)  # type: ignore[return-value]


gymnasium.register("ScaledCartPole-v0", ScaledCartPole, vector_entry_point=ScaledCartPoles)
