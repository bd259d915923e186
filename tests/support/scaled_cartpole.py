"""CartPole whose observations are a thousand times as large, and shifted, each number by another amount."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv

FACTOR = np.float32(1000.0)
SHIFT = np.array([5000.0, -2000.0, 300.0, 8000.0], np.float32)
SPACE = spaces.Box(-np.inf, np.inf, (4,))


class ScaledCartPole(CartPoleEnv):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = SPACE

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
        observation, info = super().reset(**kwargs)
        return FACTOR * observation + SHIFT, info

    def step(self, action: Any) -> tuple[np.ndarray, Any, Any, Any, dict]:
        observation, reward, terminated, truncated, info = super().step(action)
        return FACTOR * observation + SHIFT, reward, terminated, truncated, info


class ScaledCartPoles(CartPoleVectorEnv):
    """Its vector version."""

    def __init__(self, num_envs: int, max_episode_steps: int = 500):
        super().__init__(num_envs, max_episode_steps=max_episode_steps)
        self.single_observation_space = SPACE
        self.observation_space = gymnasium.vector.utils.batch_space(SPACE, num_envs)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
        observation, info = super().reset(**kwargs)
        return FACTOR * observation + SHIFT, info

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, Any, Any, Any, dict]:
        observation, reward, terminated, truncated, info = super().step(actions)
        return FACTOR * observation + SHIFT, reward, terminated, truncated, info


gymnasium.register("ScaledCartPole-v0", ScaledCartPole, vector_entry_point=ScaledCartPoles, max_episode_steps=500)
