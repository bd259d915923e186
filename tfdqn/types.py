"""Arrays by name, and what one step of many environments gives."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

Arrays = Mapping[str, np.ndarray]
Weights = Mapping[str, np.ndarray]  # by canonical name, as `QNetwork.named_weights` gives them
Observation = dict[str, np.ndarray]  # each [num_envs, …]
PolicyState = tuple[np.ndarray, ...]  # what a policy remembers, arrays [B, …]; () where it remembers nothing


class Step(NamedTuple):
    """What one step of E environments gave. Every array is fresh: the caller may keep it."""

    observation: Observation  # after the step; where done: the episode's true last observation
    reward: np.ndarray  # float32[E]
    terminated: np.ndarray  # bool[E]
    truncated: np.ndarray  # bool[E]; never where terminated
    is_reset: np.ndarray  # bool[E]: this row only carries a reset (action ignored): no transition
    legal_actions: np.ndarray | None  # bool[E, A], at `observation`
    own_reward: np.ndarray | None = None  # float32[E]: the task's, where `reward` is another, to learn from
    is_life_lost: np.ndarray | None = None  # bool[E]: `terminated` to learn from alone: the task's episode goes on

    @property
    def score(self) -> np.ndarray:
        """float32[E]: what the task itself gave."""
        return self.reward if self.own_reward is None else self.own_reward

    @property
    def ended(self) -> np.ndarray:
        """bool[E]: whether the task's own episode has ended."""
        ended = self.terminated | self.truncated
        return ended if self.is_life_lost is None else ended & ~self.is_life_lost
