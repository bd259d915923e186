"""Arrays by name; what one step of many environments gives, and what an actor makes of it for replay."""

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


class Experience(NamedTuple):
    """One step of E environments as replay learns of it: what was seen, what was done, and what came of it."""

    observation: Observation  # that was acted in
    legal_actions: np.ndarray | None  # bool[E, A], at `observation`
    action: np.ndarray  # int32[E], or [E, D] of D branches
    step: Step  # what the environments answered
    env_steps: int = 0  # that all actors together had taken before, by which n and the discount follow their schedules
    policy_state: PolicyState = ()  # with which the policy chose
    q_values: np.ndarray | None = None  # float32[E, A], by which it chose
