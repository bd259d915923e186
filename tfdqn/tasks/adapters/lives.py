"""Lost lives that end an episode to learn from, while the task's own goes on."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdqn.errors import TaskError
from tfdqn.types import Arrays, Step

LIVES = "lives"  # in `info`


class Lives:
    """Mnih et al. 2015, Methods: no value beyond the loss of a life.

    A life that goes in the very step that truncates the episode is no end: the row stays truncated.
    The game itself goes on: the next step is one of the same episode.

    Args:
      task_id: for errors.
    """

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._lives = np.zeros(0, int)

    def state(self) -> dict[str, np.ndarray]:
        """The lives that are left."""
        return {LIVES: self._lives}

    def load_state(self, arrays: Arrays) -> None:
        """Restores what `state` returned."""
        self._lives = np.array(arrays[LIVES])

    def reset(self, info: Mapping[str, Any]) -> None:
        """Takes the lives at the start. Raises TaskError if the task tells of none."""
        self._lives = self._read(info)

    def step(self, step: Step, info: Mapping[str, Any]) -> Step:
        """The step as it is learned from, by `info["lives"]`, int[E]. Raises TaskError as `reset`."""
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
