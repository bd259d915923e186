"""`Lives`: a lost life ends the episode for learning, while the task's own episode goes on."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdqn.errors import TaskError
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
