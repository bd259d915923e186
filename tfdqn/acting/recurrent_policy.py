"""`RecurrentPolicy`: a policy whose network has a memory; and `make_policy`, which knows whether it has."""

from collections.abc import Mapping

import numpy as np

from tfdqn.acting.policy import ActionValues, Policy, check_finite, make_q_function, tensorflow_recurrent_q_function
from tfdqn.config import Config, Exploration
from tfdqn.networks.factory import RecurrentQFunction, numpy_recurrent_q_function
from tfdqn.task_spec import TaskSpec
from tfdqn.types import PolicyState, Weights


def make_policy(
    config: Config,
    task_spec: TaskSpec,
    exploration: Exploration | None = None,
    num_envs: int = 1,
    actor: int = 0,
    action_values: ActionValues | None = None,
) -> Policy:
    """The policy of the configuration's network.

    Args:
      config: `network`, and what belongs to it.
      task_spec: the task's observations and actions.
      exploration: how to explore; None: always the best legal action.
      num_envs: environments that an exploring policy acts in at once.
      actor: which of `acting.actors` it is, counted from 0.
      action_values: gives Q-values where the network is elsewhere; it then remembers nothing.
    """
    place = (exploration, num_envs, actor, config.acting.actors)
    if config.network.state_size:
        q_function = numpy_recurrent_q_function(config, task_spec) or tensorflow_recurrent_q_function(config, task_spec)
        return RecurrentPolicy(q_function, config.network.state_size, *place)
    return Policy(action_values or make_q_function(config, task_spec), *place)


class RecurrentPolicy(Policy):
    """As `Policy`; its state is one array float32[B, S], zeros where an episode begins.

    Args:
      q_function: gives Q and the next state.
      state_size: S.
      settings, num_envs, actor, actors: as `Policy`'s.
    """

    def __init__(
        self,
        q_function: RecurrentQFunction,
        state_size: int,
        settings: Exploration | None = None,
        num_envs: int = 1,
        actor: int = 0,
        actors: int = 1,
    ):
        super().__init__(self._of_a_first_step, settings, num_envs, actor, actors)
        self._q_function, self._state_size = q_function, state_size

    def _of_a_first_step(
        self,
        weights: Weights,
        observation: dict[str, np.ndarray],
        legal_actions: np.ndarray | None,
        noise: np.random.Generator | None,
    ) -> np.ndarray:
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
        with np.errstate(over="ignore", invalid="ignore"):  # found just below
            q_values, state = self._q_function(weights, observation, state, noise)
        check_finite(q_values)
        return q_values, (state,)

    def _zeros(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        return np.zeros((len(next(iter(observation.values()))), self._state_size), np.float32)
