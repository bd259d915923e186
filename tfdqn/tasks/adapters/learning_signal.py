"""What is learned from at a step, where that is not what the task gave: other rewards, lost lives as ends."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdqn.config import Task
from tfdqn.tasks.adapters.lives import Lives
from tfdqn.tasks.adapters.rewards import Rewards
from tfdqn.types import Arrays, Step


class LearningSignal:
    """Steps as they are learned from; what the task gave stands beside it.

    Args:
      lives: where lost ones are ends; None: nowhere.
      rewards: what rewards become; None: they are the task's own.
    """

    def __init__(self, lives: Lives | None, rewards: Rewards | None) -> None:
        self._lives, self._rewards = lives, rewards
        self._scale = None if rewards is None else rewards.scale

    def reset(self, info: Mapping[str, Any]) -> None:
        """Fresh episodes begin everywhere. Raises TaskError as `Lives.reset`."""
        if self._lives is not None:
            self._lives.reset(info)
        if self._scale is not None:
            self._scale.reset()

    def step(self, step: Step, info: Mapping[str, Any]) -> Step:
        """The step as it is learned from. Raises TaskError as `Lives.step`."""
        if self._lives is not None:
            step = self._lives.step(step, info)
        if self._rewards is not None:
            step = step._replace(reward=self._rewards(step), own_reward=step.reward)
        return step

    def state(self) -> dict[str, np.ndarray]:
        """What is known of the episodes under way."""
        return {
            name: array
            for part in (self._lives, self._scale)
            if part is not None
            for name, array in part.state().items()
        }

    def load_state(self, arrays: Arrays) -> None:
        """Restores what `state` returned."""
        for part in (self._lives, self._scale):
            if part is not None:
                part.load_state(arrays)

    def lasting_state(self) -> dict[str, np.ndarray]:
        """What outlives the episodes: the moments of returns, by which rewards are scaled."""
        return {} if self._scale is None else {"moments": self._scale.moments()}

    def load_lasting_state(self, arrays: Arrays) -> None:
        """Restores what `lasting_state` returned."""
        if self._scale is not None:
            self._scale.load_moments(arrays["moments"])


def learning_signal(task: Task) -> LearningSignal | None:
    """None if what the task gives is learned from as it is."""
    has_rewards = task.reward_clip or task.reward_sign or task.reward_normalization
    if not has_rewards and not task.end_on_life_loss:
        return None
    return LearningSignal(Lives(task.id) if task.end_on_life_loss else None, Rewards(task) if has_rewards else None)
