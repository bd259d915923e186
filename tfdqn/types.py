"""Named arrays, what policies take, the result of one step of many environments, and what an actor writes to replay."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

Arrays = Mapping[str, np.ndarray]
Weights = Mapping[str, np.ndarray]  # by canonical name, as of `QNetwork.named_weights`
Observation = dict[str, np.ndarray]  # each [num_envs, …]
LegalActions = np.ndarray | None  # bool[num_envs, A], or [num_envs, D, A] of D branches; None: all are legal
Rng = np.random.Generator
PolicyState = tuple[np.ndarray, ...]  # a policy's state, arrays [B, …]; () if it has none


class Step(NamedTuple):
    """The result of one step of E environments. Every array is new: the caller may keep it."""

    observation: Observation  # after the step; at the end of an episode, its true last observation
    reward: np.ndarray  # float32[E]
    terminated: np.ndarray  # bool[E]
    truncated: np.ndarray  # bool[E]; never together with terminated
    is_reset: np.ndarray  # bool[E]: the environment was only reset, and its action ignored: there is no transition
    legal_actions: LegalActions  # at `observation`
    own_reward: np.ndarray | None = None  # float32[E]: the task's own reward, if `reward` was changed for learning
    is_life_lost: np.ndarray | None = None  # bool[E]: `terminated` is for learning only; the task's episode goes on

    @property
    def score(self) -> np.ndarray:
        """The task's own reward, float32[E]."""
        return self.reward if self.own_reward is None else self.own_reward

    @property
    def ended(self) -> np.ndarray:
        """Whether the task's own episode has ended, bool[E]."""
        ended = self.terminated | self.truncated
        return ended if self.is_life_lost is None else ended & ~self.is_life_lost


class Experience(NamedTuple):
    """One step of E environments, as an actor writes it to replay: observation, action and result."""

    observation: Observation  # in which the action was chosen
    legal_actions: LegalActions  # at `observation`
    action: np.ndarray  # int32[E], or [E, D] of D branches
    step: Step  # the result of the action
    env_steps: int = 0  # of all actors, before this step; the schedules of n and the discount depend on it
    policy_state: PolicyState = ()  # the policy's state before it chose the action
    q_values: np.ndarray | None = None  # float32[E, A], from which the action was chosen
