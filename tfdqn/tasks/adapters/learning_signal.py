"""`LearningSignal`: changes a task's steps for learning: other rewards, and lost lives as ends of episodes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.wrappers.utils import RunningMeanStd

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.types import Arrays, Step

LIVES = "lives"  # the key in `info`
_EPSILON = 1e-8  # added to the variance of returns, as gymnasium's NormalizeReward does


class RunningScale:
    """Divides rewards by the running deviation of discounted returns: Engstrom et al. 2020, section 3, item 2.

    R_t = γ R_{t-1} + r_t in each environment, from 0 in each episode. The variance is that of all R_t of all E
    environments so far, merged batch by batch (Chan et al. 1979). The mean is not subtracted from the rewards.
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
        self._returns = np.array(arrays["returns"])

    def moments(self) -> np.ndarray:
        """float64[3]: mean, variance and count of all returns so far."""
        return np.array([self._moments.mean, self._moments.var, self._moments.count])

    def load_moments(self, moments: np.ndarray) -> None:
        self._moments.mean, self._moments.var, self._moments.count = moments


class Rewards:
    """clip(f(r), -c, c), where f is the sign, the division by a running deviation, or nothing; c = 0: not clipped.

    The keys `reward_sign`, `reward_normalization` and `reward_clip` say what is done. `scale` is the running deviation;
    None if rewards are not divided.
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


class Lives:
    """Marks the loss of a life as a termination (Mnih et al. 2015, Methods), so that no value lies beyond it.

    The task's own episode goes on with the next step. A life that is lost in the step that truncates the episode
    changes nothing: the step stays truncated.
    """

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._lives = np.zeros(0, int)

    def state(self) -> dict[str, np.ndarray]:
        """The lives left in each environment, int[E]."""
        return {LIVES: self._lives}

    def load_state(self, arrays: Arrays) -> None:
        self._lives = np.array(arrays[LIVES])

    def reset(self, info: Mapping[str, Any]) -> None:
        """Takes `info["lives"]`, int[E], at an episode's start. Raises TaskError if there is none."""
        self._lives = self._read(info)

    def step(self, step: Step, info: Mapping[str, Any]) -> Step:
        """The step with lost lives marked, by `info["lives"]`, int[E]. Raises TaskError as `reset`."""
        if LIVES not in info and step.is_reset.all():
            return step  # every environment has failed; after the next step, `info` has the lives of the new ones
        before, self._lives = self._lives, self._read(info)
        is_within_episode = ~(step.terminated | step.truncated | step.is_reset)
        is_life_lost = is_within_episode & (self._lives < before)
        return step._replace(terminated=step.terminated | is_life_lost, is_life_lost=is_life_lost)

    def _read(self, info: Mapping[str, Any]) -> np.ndarray:
        lives = np.array(info.get(LIVES, ""))
        if lives.dtype.kind not in "iu":
            raise TaskError(
                f'task.end_on_life_loss is true, but {self._task_id} gives no whole numbers info["{LIVES}"]'
            )
        return lives


class LearningSignal:
    """Changes steps for learning; the task's own rewards and ends are kept in the step beside the changed ones."""

    def __init__(self, task: Task) -> None:
        has_rewards = task.reward_clip or task.reward_sign or task.reward_normalization
        self._lives = Lives(task.id) if task.end_on_life_loss else None
        self._rewards = Rewards(task) if has_rewards else None
        self._scale = None if self._rewards is None else self._rewards.scale
        self._of_episodes = [part for part in (self._lives, self._scale) if part is not None]  # with a state of them

    def reset(self, info: Mapping[str, Any]) -> None:
        """Begins an episode in every environment. Raises TaskError as `Lives.reset`."""
        if self._lives is not None:
            self._lives.reset(info)
        if self._scale is not None:
            self._scale.reset()

    def step(self, step: Step, info: Mapping[str, Any]) -> Step:
        """The changed step. Raises TaskError as `Lives.step`."""
        if self._lives is not None:
            step = self._lives.step(step, info)
        if self._rewards is not None:
            step = step._replace(reward=self._rewards(step), own_reward=step.reward)
        return step

    def state(self) -> dict[str, np.ndarray]:
        """The state of the episodes under way: lives left, and returns so far."""
        return {name: array for part in self._of_episodes for name, array in part.state().items()}

    def load_state(self, arrays: Arrays) -> None:
        for part in self._of_episodes:
            part.load_state(arrays)

    def lasting_state(self) -> dict[str, np.ndarray]:
        """The state that outlasts episodes: the moments of returns, by which rewards are scaled."""
        return {} if self._scale is None else {"moments": self._scale.moments()}

    def load_lasting_state(self, arrays: Arrays) -> None:
        if self._scale is not None:
            self._scale.load_moments(arrays["moments"])
