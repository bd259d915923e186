"""Policies with a state during an episode: `RecurrentPolicy`'s is its network's, `MemberPolicy`'s a member's index."""

import numpy as np

from tfdqn.acting.exploration import Explorer
from tfdqn.acting.policy import Policy, aggregated, not_finite_where_any_is_not
from tfdqn.config import Ensemble
from tfdqn.networks.factory import QFunction, RecurrentQFunction
from tfdqn.types import LegalActions, Observation, PolicyState, Rng, Weights


class RecurrentPolicy(Policy):
    """A `Policy` whose state is the network's, one array float32[B, S], with zeros where an episode begins."""

    def __init__(self, q_function: RecurrentQFunction, state_size: int, explorer: Explorer):
        super().__init__(self._initial_q_values, explorer)
        self._q_function, self._state_size = q_function, state_size

    def _initial_q_values(
        self, weights: Weights, observation: Observation, legal_actions: LegalActions, noise: Rng | None
    ) -> np.ndarray:
        """Q-values as in an episode's first step, for `q_values`, which has no state."""
        return self._q_function(weights, observation, self._zeros(observation), noise)[0]

    def _values(
        self,
        weights: Weights,
        observation: Observation,
        legal_actions: LegalActions,
        policy_state: PolicyState,
        noise: Rng | None,
    ) -> tuple[np.ndarray, PolicyState]:
        state = policy_state[0] if policy_state else self._zeros(observation)
        q_values, state = self._q_function(weights, observation, state, noise)
        return q_values, (state,)

    def _zeros(self, observation: Observation) -> np.ndarray:
        return np.zeros((len(next(iter(observation.values()))), self._state_size), np.float32)


class MemberPolicy(Policy):
    """A `Policy` that draws, uniformly, one member for each environment when an episode begins.

    So it explores consistently for a whole episode: Osband et al. 2016, *Deep exploration via bootstrapped DQN*,
    algorithm 1. Its state is one array int64[B], the members counted from 1; 0 means that an episode begins.
    `q_values`, which has no state, returns the ensemble's aggregate.
    """

    def __init__(self, q_function: QFunction, ensemble: Ensemble, explorer: Explorer):
        super().__init__(aggregated(q_function, ensemble.aggregation), explorer)
        self._q_function, self._members = q_function, ensemble.size

    def _values(
        self,
        weights: Weights,
        observation: Observation,
        legal_actions: LegalActions,
        policy_state: PolicyState,
        noise: Rng | None,
    ) -> tuple[np.ndarray, PolicyState]:
        assert noise is not None  # it explores
        batch = len(next(iter(observation.values())))
        acting = policy_state[0] if policy_state else np.zeros(batch, np.int64)
        if not acting.all():
            acting = np.where(acting == 0, noise.integers(1, self._members + 1, size=batch), acting)
        q_values = self._q_function(weights, observation, noise)
        return not_finite_where_any_is_not(q_values[acting - 1, np.arange(batch)], q_values), (acting,)
