"""`Rewards`: changes rewards for learning: to their signs, or divided by a running deviation, and clipped."""

import numpy as np
from gymnasium.wrappers.utils import RunningMeanStd

from tfdqn.config import Task
from tfdqn.types import Arrays, Step

_EPSILON = 1e-8  # added to the variance, as gymnasium's NormalizeReward does


class RunningScale:
    """Divides rewards by the running deviation of discounted returns: Engstrom et al. 2020, section 3, item 2.

    R_t = γ R_{t-1} + r_t in each environment, from 0 in each episode. The variance is that of all R_t of all E
    environments so far, merged batch by batch (Chan et al. 1979). The mean is not subtracted from the rewards.

    Args:
      discount: γ.
      num_envs: E.
    """

    def __init__(self, discount: float, num_envs: int):
        self._discount = discount
        self._returns = np.zeros(num_envs)
        self._moments = RunningMeanStd()

    def __call__(self, step: Step) -> np.ndarray:
        """The step's rewards, float32[E], divided by the deviation, which already includes this step."""
        self._returns = self._discount * self._returns + step.reward
        taken = self._returns[~step.is_reset]
        if taken.size:
            self._moments.update(taken)
        self._returns[step.terminated | step.truncated | step.is_reset] = 0.0
        return (step.reward / np.sqrt(self._moments.var + _EPSILON)).astype(np.float32)

    def reset(self) -> None:
        """Begins an episode in every environment."""
        self._returns[:] = 0.0

    def state(self) -> dict[str, np.ndarray]:
        """The discounted returns of the episodes under way, float64[E]."""
        return {"returns": self._returns.copy()}

    def load_state(self, arrays: Arrays) -> None:
        """Restores what `state` returned."""
        self._returns = np.array(arrays["returns"])

    def moments(self) -> np.ndarray:
        """float64[3]: mean, variance and count of all returns so far."""
        return np.array([self._moments.mean, self._moments.var, self._moments.count])

    def load_moments(self, moments: np.ndarray) -> None:
        """Restores what `moments` returned."""
        self._moments.mean, self._moments.var, self._moments.count = moments


class Rewards:
    """clip(f(r), -c, c), where f is the sign, the division by a running deviation, or nothing; c = 0: not clipped.

    Args:
      task: its `reward_sign`, `reward_normalization` and `reward_clip` say what is done.

    Attributes:
      scale: the running deviation; None if rewards are not divided.
    """

    def __init__(self, task: Task):
        self._clip, self._sign = np.float32(task.reward_clip), task.reward_sign
        has_scale = task.reward_normalization > 0
        self.scale = RunningScale(task.reward_normalization, task.num_envs) if has_scale else None

    def __call__(self, step: Step) -> np.ndarray:
        """The changed rewards of a step, float32[E]."""
        reward = np.sign(step.reward) if self._sign else step.reward
        if self.scale is not None:
            reward = self.scale(step)
        return np.clip(reward, -self._clip, self._clip) if self._clip else reward
