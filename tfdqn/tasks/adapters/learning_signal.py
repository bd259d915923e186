"""What is learned from at a step, where that is not what the task gave: clipped rewards, lost lives as ends."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.types import Step

LIVES = "lives"  # in `info`


class LearningSignal:
    """Mnih et al. 2015, Methods: rewards clipped to ±1, and no value beyond the loss of a life.

    A life that goes in the very step that truncates the episode is no end: the row stays truncated.

    The game itself goes on: the next step is one of the same episode, and its score is all that it gave.

    Args:
      task_id: for errors.
      reward_clip: c: what is learned from lies in [-c, c]; 0: it is the task's own.
      end_on_life_loss: whether fewer lives in `info["lives"]`, int[E], end an episode for learning.
    """

    def __init__(self, task_id: str, reward_clip: float, end_on_life_loss: bool) -> None:
        self._task_id, self._clip, self._end_on_life_loss = task_id, np.float32(reward_clip), end_on_life_loss
        self._lives = np.zeros(0, int)

    def state(self) -> dict[str, np.ndarray]:
        """The lives that are left, where they count."""
        return {LIVES: self._lives} if self._end_on_life_loss else {}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Puts back what `state` gave."""
        self._lives = np.array(arrays[LIVES]) if self._end_on_life_loss else self._lives

    def reset(self, info: Mapping[str, Any]) -> None:
        """Takes the lives at the start. Raises TaskError where the task tells of none."""
        if self._end_on_life_loss:
            self._lives = self._read(info)

    def step(self, step: Step, info: Mapping[str, Any]) -> Step:
        """The step as it is learned from, and beside it what the task gave. Raises TaskError as `reset`."""
        if self._clip:
            step = step._replace(reward=np.clip(step.reward, -self._clip, self._clip), own_reward=step.reward)
        if not self._end_on_life_loss:
            return step
        if LIVES not in info and step.is_reset.all():
            return step  # every environment has failed: the next row has the lives of those made anew
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


def learning_signal(task: Task) -> LearningSignal | None:
    """None where what the task gives is learned from as it is."""
    if not task.reward_clip and not task.end_on_life_loss:
        return None
    return LearningSignal(task.id, task.reward_clip, task.end_on_life_loss)
