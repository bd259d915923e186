"""`Policy`: observation → action, for a whole batch of environments in one call.

Q-values come from NumPy where the network is small and dense, else from one `tf.function`; exploration is
drawn in NumPy either way.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn import config, exploration
from tfdqn.networks import numpy_q_function, q_network
from tfdqn.networks.numpy_forward import QFunction
from tfdqn.task_spec import TaskSpec

PolicyState = tuple[np.ndarray, ...]  # what a policy remembers, arrays [B, …]; () where it remembers nothing


class PolicyOutput(NamedTuple):
    """Actions int32[B], Q-values float32[B, A], and the state to pass to the next call."""

    action: np.ndarray
    q_values: np.ndarray
    policy_state: PolicyState


def forget(policy_state: PolicyState, is_reset: np.ndarray) -> PolicyState:
    """The state with zeros where an episode begins (is_reset bool[B]): nothing is remembered across episodes."""
    if not policy_state or not is_reset.any():
        return policy_state
    return tuple(
        np.where(is_reset.reshape(-1, *[1] * (array.ndim - 1)), array.dtype.type(0), array)
        for array in policy_state
    )


class Policy:
    """Q-function and exploration together.

    Args:
      q_function: (weights by canonical name, observation) → Q float32[B, A].
      settings: how to explore; None: always the best legal action.
      num_envs: B of an exploring policy, for the ladder of epsilons.
    """

    def __init__(self, q_function: QFunction, settings: config.Exploration | None = None, num_envs: int = 1):
        self._q_function = q_function
        self._settings = settings
        ladder_alpha = settings.ladder_alpha if isinstance(settings, config.EpsilonGreedy) else 0.0
        self._exponents = exploration.ladder_exponents(num_envs, ladder_alpha)

    def __call__(
        self,
        weights: Mapping[str, np.ndarray],
        observation: dict[str, np.ndarray],
        legal_actions: np.ndarray | None,
        policy_state: PolicyState,
        rng: np.random.Generator,
        env_steps: int = 0,
    ) -> PolicyOutput:
        """Acts in B environments at once.

        Args:
          weights: of the network, by canonical name.
          observation: a dict of arrays [B, …].
          legal_actions: bool[B, A], or none where all are legal.
          policy_state: what the previous call returned, zeros where an episode begins; () at the very first.
          rng: every random draw comes from it.
          env_steps: taken so far, for the exploration schedule.
        """
        q_values = self._q_function(weights, observation)
        return PolicyOutput(self._choose(q_values, legal_actions, rng, env_steps), q_values, policy_state)

    def _choose(
        self,
        q_values: np.ndarray,
        legal_actions: np.ndarray | None,
        rng: np.random.Generator,
        env_steps: int,
    ) -> np.ndarray:
        if self._settings is None:
            return exploration.greedy(q_values, legal_actions)
        strength = exploration.scheduled(self._settings, env_steps)
        if isinstance(self._settings, config.Boltzmann):
            return exploration.boltzmann(q_values, legal_actions, strength, rng)
        return exploration.epsilon_greedy(q_values, legal_actions, strength**self._exponents, rng)


def make_q_function(network: config.Network, task_spec: TaskSpec) -> QFunction:
    """The network as a function of weights and NumPy arrays, by the cheaper of the two ways."""
    return numpy_q_function(network, task_spec) or tensorflow_q_function(network, task_spec)


def tensorflow_q_function(network: config.Network, task_spec: TaskSpec) -> QFunction:
    """One traced call over a copy of the network; weights are assigned when another mapping is passed."""
    copy = q_network(network, task_spec, seed=0, name="acting")
    signature = {
        key: tf.TensorSpec((None, *spec.shape), spec.dtype, name=key)
        for key, spec in task_spec.observation.items()
    }
    copy.create_variables()
    call = tf.function(lambda observation: copy(observation)[0], input_signature=[signature], autograph=False)
    assigned: Mapping[str, np.ndarray] | None = None

    def q_function(weights: Mapping[str, np.ndarray], observation: dict[str, np.ndarray]) -> np.ndarray:
        nonlocal assigned
        if weights is not assigned:
            copy.load_named_weights(weights)
            assigned = weights
        return call({key: tf.convert_to_tensor(array) for key, array in observation.items()}).numpy()

    return q_function
