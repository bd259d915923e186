"""`Policy`: chooses the actions of a whole batch of environments in one call, by Q-values and an `Explorer`."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfdqn.acting.exploration import GREEDY, Explorer
from tfdqn.errors import NotFiniteError
from tfdqn.networks.best_actions import Aggregation, aggregate_numpy
from tfdqn.networks.factory import QFunction
from tfdqn.networks.own_parts import own_advice
from tfdqn.tasks.array_contract import is_finite
from tfdqn.types import LegalActions, Observation, PolicyState, Rng, Weights

# (weights by canonical name, observation, legal actions bool[B, A] or None, generator for noisy layers or None) →
# a value for each action, float32[B, A]
ActionValues = Callable[[Weights, Observation, LegalActions, Rng | None], np.ndarray]


class PolicyOutput(NamedTuple):
    """Actions int32[B], Q-values float32[B, A] (an ensemble's aggregate), and the state for the next call.

    With branches, actions are int32[B, D] and Q-values float32[B, D, A].
    """

    action: np.ndarray
    q_values: np.ndarray
    policy_state: PolicyState


def forget(policy_state: PolicyState, is_reset: np.ndarray) -> PolicyState:
    """Returns the state with zeros for environments that were reset (is_reset bool[B])."""
    if not policy_state or not is_reset.any():
        return policy_state
    return tuple(
        np.where(is_reset.reshape(-1, *[1] * (array.ndim - 1)), array.dtype.type(0), array) for array in policy_state
    )


class Policy:
    """Chooses actions from Q-values, which `action_values` computes: by `explorer`, or the best legal ones."""

    def __init__(self, action_values: ActionValues, explorer: Explorer = GREEDY):
        self._action_values, self.explorer = action_values, explorer
        self.own_parts = ""  # the sources of the user's parts that compute Q, which an error names

    def __call__(
        self,
        weights: Weights,
        observation: Observation,
        legal_actions: LegalActions,
        policy_state: PolicyState,
        rng: Rng,
        env_steps: int = 0,
    ) -> PolicyOutput:
        """Chooses the actions of B environments. Raises NotFiniteError if a Q-value is not finite.

        Args:
          legal_actions: bool[B, A]; None: all are legal.
          policy_state: what the previous call returned, with zeros where an episode begins; () in the first call.
          env_steps: the number of environment steps so far, for the exploration schedule.
        """
        noise = None if self.explorer.settings is None else rng
        with _unlimited():
            q_values, policy_state = self._values(weights, observation, legal_actions, policy_state, noise)
        check_finite(q_values, self.own_parts)
        return PolicyOutput(self.explorer.choose(q_values, legal_actions, rng, env_steps), q_values, policy_state)

    def q_values(
        self, weights: Weights, observation: Observation, legal_actions: LegalActions, noise: Rng | None = None
    ) -> np.ndarray:
        """Computes the Q-values by which it acts, float32[B, A]; arguments and errors as of a call.

        Noisy layers draw from `noise`; None: they have no noise.
        """
        with _unlimited():
            q_values = self._action_values(weights, observation, legal_actions, noise)
        check_finite(q_values, self.own_parts)
        return q_values

    def _values(
        self,
        weights: Weights,
        observation: Observation,
        legal_actions: LegalActions,
        policy_state: PolicyState,
        noise: Rng | None,
    ) -> tuple[np.ndarray, PolicyState]:
        """Returns (Q-values, the next state). Here the state is passed through; subclasses use it."""
        return self._action_values(weights, observation, legal_actions, noise), policy_state


def _unlimited() -> np.errstate:
    """Lets NumPy overflow without a warning: `check_finite` then finds what is not finite."""
    return np.errstate(over="ignore", invalid="ignore")


def check_finite(q_values: np.ndarray, own_parts: str = "") -> None:
    """Raises NotFiniteError, naming the first environment and action, if a Q-value is not finite.

    The error also names `own_parts`, the sources of the user's parts that have computed it, if there are any.
    """
    if not is_finite(q_values):
        place = np.argwhere(~np.isfinite(q_values))[0]
        environment, *action = (int(index) for index in place)
        raise NotFiniteError(
            f"Q of action {', '.join(map(str, action))} of environment {environment} is {q_values[tuple(place)]}, "
            f"which is not finite; {own_advice(own_parts)}scale the task's observations and rewards, or lower "
            "optimizer.learning_rate"
        )


def aggregated(q_function: QFunction, aggregation: Aggregation) -> ActionValues:
    """Makes a function that aggregates the Q-values of an ensemble's members; "majority" gives votes instead."""

    def action_values(
        weights: Weights, observation: Observation, legal_actions: LegalActions, rng: Rng | None
    ) -> np.ndarray:
        q_values = q_function(weights, observation, rng)
        return not_finite_where_any_is_not(aggregate_numpy(q_values, legal_actions, aggregation), q_values)

    return action_values


def not_finite_where_any_is_not(values: np.ndarray, q_values: np.ndarray) -> np.ndarray:
    """Returns aggregated values float32[B, A], with NaN where any member's Q, float32[K, B, A], is not finite.

    An aggregate such as a vote or a minimum could be finite there.
    """
    if is_finite(q_values):
        return values
    return np.where(np.isfinite(q_values).all(axis=0), values, np.float32(np.nan))
