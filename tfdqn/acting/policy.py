"""`Policy`: observation → action, for a whole batch of environments in one call.

Q-values come from NumPy where the network is small and dense, else from one `tf.function`; an ensemble's are
aggregated and exploration is drawn in NumPy either way.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn import config
from tfdqn.acting import exploration
from tfdqn.acting.device import acting_device
from tfdqn.config import Config, DeepNetwork
from tfdqn.errors import NotFiniteError
from tfdqn.networks.aggregation import Aggregation, aggregate_numpy
from tfdqn.networks.factory import QFunction, RecurrentQFunction, network_to_load, numpy_q_function
from tfdqn.networks.legal_actions import greedy_numpy
from tfdqn.networks.noise import Noise
from tfdqn.randomness import derived_seed
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.contract import is_finite
from tfdqn.types import PolicyState, Weights

# (weights by canonical name, observation, legal actions bool[B, A] or none, what noisy layers draw from or none) → a
# value per action, float32[B, A]
ActionValues = Callable[[Weights, dict[str, np.ndarray], np.ndarray | None, np.random.Generator | None], np.ndarray]


class PolicyOutput(NamedTuple):
    """Actions int32[B], Q-values float32[B, A] (an ensemble's aggregate), and the state for the next call.

    Of branches, actions are int32[B, D] and Q-values float32[B, D, A].
    """

    action: np.ndarray
    q_values: np.ndarray
    policy_state: PolicyState


def forget(policy_state: PolicyState, is_reset: np.ndarray) -> PolicyState:
    """The state with zeros where an episode begins (is_reset bool[B]): nothing is remembered across episodes."""
    if not policy_state or not is_reset.any():
        return policy_state
    return tuple(
        np.where(is_reset.reshape(-1, *[1] * (array.ndim - 1)), array.dtype.type(0), array) for array in policy_state
    )


class Policy:
    """Q-values and exploration together.

    Args:
      action_values: gives Q float32[B, A], as `make_q_function` does.
      settings: how to explore; None: always the best legal action.
      num_envs: B of an exploring policy, for the ladder of epsilons.
      actor: which of the actors' policies this is, counted from 0.
      actors: how many there are; the ladder runs over the environments of all.
      all_legal: what may be drawn where a task has no masks, bool[*mask_shape]; None: an action is one number.
    """

    def __init__(
        self,
        action_values: ActionValues,
        settings: config.Exploration | None = None,
        num_envs: int = 1,
        actor: int = 0,
        actors: int = 1,
        all_legal: np.ndarray | None = None,
    ):
        self._action_values = action_values
        self._settings, self._all_legal = settings, all_legal
        self._is_boltzmann = isinstance(settings, config.Boltzmann)
        ladder_alpha = settings.ladder_alpha if isinstance(settings, config.EpsilonGreedy) else 0.0
        ladder = exploration.ladder_exponents(actors * num_envs, ladder_alpha)
        self._exponents = ladder[actor * num_envs : (actor + 1) * num_envs]
        if all_legal is not None:
            self._exponents = self._exponents[:, np.newaxis]  # of an environment, for each of its branches

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
          legal_actions: bool[B, A], or none if all are legal.
          policy_state: what the previous call returned, zeros where an episode begins; () at the very first.
          rng: every random draw comes from it.
          env_steps: taken so far, for the exploration schedule.

        Raises NotFiniteError for Q-values that are not finite.
        """
        noise = None if self._settings is None else rng
        q_values, policy_state = self._values(weights, observation, legal_actions, policy_state, noise)
        return PolicyOutput(self._choose(q_values, legal_actions, rng, env_steps), q_values, policy_state)

    def q_values(
        self,
        weights: Mapping[str, np.ndarray],
        observation: dict[str, np.ndarray],
        legal_actions: np.ndarray | None,
        noise: np.random.Generator | None = None,
    ) -> np.ndarray:
        """What it acts by, float32[B, A]; arguments and errors as of a call. Noisy layers draw from `noise`."""
        with np.errstate(over="ignore", invalid="ignore"):  # found just below
            q_values = self._action_values(weights, observation, legal_actions, noise)
        check_finite(q_values)
        return q_values

    def _values(
        self,
        weights: Mapping[str, np.ndarray],
        observation: dict[str, np.ndarray],
        legal_actions: np.ndarray | None,
        policy_state: PolicyState,
        noise: np.random.Generator | None,
    ) -> tuple[np.ndarray, PolicyState]:
        """(what it acts by, the next state): of one that remembers nothing, the same."""
        return self.q_values(weights, observation, legal_actions, noise), policy_state

    def _choose(
        self, q_values: np.ndarray, legal_actions: np.ndarray | None, rng: np.random.Generator, env_steps: int
    ) -> np.ndarray:
        if self._settings is None:
            return greedy_numpy(q_values, legal_actions)
        strength = exploration.scheduled(self._settings, env_steps)
        if legal_actions is None:
            legal_actions = self._all_legal
        if self._is_boltzmann:
            return exploration.boltzmann(q_values, legal_actions, strength, rng)
        return exploration.epsilon_greedy(q_values, legal_actions, strength**self._exponents, rng)


def check_finite(q_values: np.ndarray) -> None:
    """Raises NotFiniteError, which names the first environment and action, for a value that is not."""
    if not is_finite(q_values):
        place = np.argwhere(~np.isfinite(q_values))[0]
        environment, *action = (int(index) for index in place)
        raise NotFiniteError(
            f"environment {environment}: Q of action {', '.join(map(str, action))} is {q_values[tuple(place)]}, "
            "which is not finite; scale the task's observations and rewards, or lower optimizer.learning_rate"
        )


def make_q_function(config: Config, task_spec: TaskSpec) -> ActionValues:
    """What `[network]` and `[ensemble]` describe, as a function of weights and NumPy arrays."""
    q_function = network_q_function(config, task_spec)
    if config.ensemble.size == 1:
        return lambda weights, observation, legal_actions, rng: q_function(weights, observation, rng)
    return aggregated(q_function, config.ensemble.aggregation)


def network_q_function(config: Config, task_spec: TaskSpec) -> QFunction:
    """What `[network]` describes, by NumPy where that pays; of an ensemble, the Q-values of all its members."""
    return numpy_q_function(config, task_spec) or tensorflow_q_function(config, task_spec)


def aggregated(q_function: QFunction, aggregation: Aggregation) -> ActionValues:
    """What an ensemble thinks as one; for "majority" these are votes (`networks.aggregation`)."""

    def action_values(
        weights: Weights,
        observation: dict[str, np.ndarray],
        legal_actions: np.ndarray | None,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        q_values = q_function(weights, observation, rng)
        return not_finite_where_any_is_not(aggregate_numpy(q_values, legal_actions, aggregation), q_values)

    return action_values


def not_finite_where_any_is_not(values: np.ndarray, q_values: np.ndarray) -> np.ndarray:
    """Values float32[B, A] made of Q float32[K, B, A], which may be finite where a member's are not; there NaN."""
    if is_finite(q_values):
        return values
    return np.where(np.isfinite(q_values).all(axis=0), values, np.float32(np.nan))


def tensorflow_q_function(config: Config, task_spec: TaskSpec) -> QFunction:
    """One traced call over a copy of the network; weights are assigned when another mapping is passed."""
    q_function = tensorflow_recurrent_q_function(config, task_spec)
    return lambda weights, observation, rng=None: q_function(weights, observation, (), rng)[0]


def tensorflow_recurrent_q_function(config: Config, task_spec: TaskSpec) -> RecurrentQFunction:
    """The same of a network that may have a memory: without one its state is ()."""
    device = acting_device(config)
    with tf.device(device):
        copy = network_to_load(config, task_spec, name="acting")
    size = config.network.state_size
    signature = [
        {key: tf.TensorSpec((None, *spec.shape), spec.dtype, name=key) for key, spec in task_spec.observation.items()},
        tf.TensorSpec((None, size), name="state") if size else (),
    ]
    call = tf.function(
        lambda observation, state: copy(observation, network_state=state), input_signature=signature, autograph=False
    )
    key = derived_seed(config.seed, "acting noise")
    noisy_call = tf.function(  # traced where it is called
        lambda observation, state, draw: copy(observation, network_state=state, noise=Noise(key, draw)),
        input_signature=[*signature, tf.TensorSpec((), tf.int64)],
        autograph=False,
    )
    is_noisy = isinstance(config.network, DeepNetwork) and config.network.noisy
    assigned: Mapping[str, np.ndarray] | None = None

    def q_function(
        weights: Mapping[str, np.ndarray],
        observation: dict[str, np.ndarray],
        state: Any,
        rng: np.random.Generator | None = None,
    ) -> tuple[np.ndarray, Any]:
        nonlocal assigned
        with tf.device(device):
            if weights is not assigned:
                copy.load_named_weights(weights)
                assigned = weights
            tensors = {key: tf.convert_to_tensor(array) for key, array in observation.items()}
            state = tf.convert_to_tensor(state) if size else ()
            if rng is None or not is_noisy:
                q_values, state = call(tensors, state)
            else:
                q_values, state = noisy_call(tensors, state, tf.constant(rng.integers(2**63 - 1)))
        return q_values.numpy(), state.numpy() if size else ()

    return q_function
