"""`LearningSignal`: changes a task's steps for learning: other rewards, and lost lives as ends of episodes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.adapters.rewards import Rewards
from tfdqn.types import Arrays, Step

LIVES = "lives"  # the key in `info`


class Lives:
    """Marks the loss of a life as a termination (Mnih et al. 2015, Methods), so that no value lies beyond it.

    The task's own episode goes on with the next step. A life that is lost in the step that truncates the episode
    changes nothing: the step stays truncated.

    Args:
      task_id: for errors.
    """

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._lives = np.zeros(0, int)

    def state(self) -> dict[str, np.ndarray]:
        """The lives left in each environment, int[E]."""
        return {LIVES: self._lives}

    def load_state(self, arrays: Arrays) -> None:
        """Restores what `state` returned."""
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
    """Changes steps for learning; the task's own rewards and ends are kept in the step beside the changed ones.

    Args:
      lives: makes a lost life an end; None: lives don't matter.
      rewards: changes rewards; None: the task's own are learned from.
    """

    def __init__(self, lives: Lives | None, rewards: Rewards | None) -> None:
        self._lives, self._rewards = lives, rewards
        self._scale = None if rewards is None else rewards.scale

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
        """The state that outlasts episodes: the moments of returns, by which rewards are scaled."""
        return {} if self._scale is None else {"moments": self._scale.moments()}

    def load_lasting_state(self, arrays: Arrays) -> None:
        """Restores what `lasting_state` returned."""
        if self._scale is not None:
            self._scale.load_moments(arrays["moments"])


def learning_signal(task: Task) -> LearningSignal | None:
    """What the task's keys change for learning; None if they change nothing."""
    has_rewards = task.reward_clip or task.reward_sign or task.reward_normalization
    if not has_rewards and not task.end_on_life_loss:
        return None
    return LearningSignal(Lives(task.id) if task.end_on_life_loss else None, Rewards(task) if has_rewards else None)
