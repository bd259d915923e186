"""`RecurrentPolicy`: a policy whose network has a memory."""

from collections.abc import Mapping

import numpy as np

from tfdqn.acting.exploration import GREEDY, Explorer
from tfdqn.acting.policy import Policy
from tfdqn.networks.factory import RecurrentQFunction
from tfdqn.types import PolicyState, Weights


class RecurrentPolicy(Policy):
    """A `Policy` whose state is the network's, one array float32[B, S], with zeros where an episode begins.

    Args:
      q_function: computes Q and the next state.
      state_size: S.
      explorer: as for `Policy`.
    """

    def __init__(self, q_function: RecurrentQFunction, state_size: int, explorer: Explorer = GREEDY):
        super().__init__(self._initial_q_values, explorer)
        self._q_function, self._state_size = q_function, state_size

    def _initial_q_values(
        self,
        weights: Weights,
        observation: dict[str, np.ndarray],
        legal_actions: np.ndarray | None,
        noise: np.random.Generator | None,
    ) -> np.ndarray:
        """Q-values as in an episode's first step, for `q_values`, which has no state."""
        return self._q_function(weights, observation, self._zeros(observation), noise)[0]

    def _values(
        self,
        weights: Mapping[str, np.ndarray],
        observation: dict[str, np.ndarray],
        legal_actions: np.ndarray | None,
        policy_state: PolicyState,
        noise: np.random.Generator | None,
    ) -> tuple[np.ndarray, PolicyState]:
        state = policy_state[0] if policy_state else self._zeros(observation)
        q_values, state = self._q_function(weights, observation, state, noise)
        return q_values, (state,)

    def _zeros(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        return np.zeros((len(next(iter(observation.values()))), self._state_size), np.float32)
