"""`Policy`: chooses the actions of a whole batch of environments in one call.

Q-values are computed by NumPy where that is faster (`networks.factory.numpy_q_function`), else by a `tf.function`.
Aggregation of an ensemble and exploration (`Explorer`) are in NumPy in either case.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.acting.exploration import GREEDY, Explorer
from tfdqn.config import Config, DeepNetwork
from tfdqn.errors import NotFiniteError
from tfdqn.networks.best_actions import Aggregation, aggregate_numpy
from tfdqn.networks.factory import QFunction, RecurrentQFunction, network_to_load, numpy_q_function
from tfdqn.networks.noise import Noise
from tfdqn.networks.own_parts import own_advice
from tfdqn.randomness import derived_seed
from tfdqn.task_spec import TaskSpec
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


def make_q_function(config: Config, task_spec: TaskSpec) -> ActionValues:
    """Makes the function that computes the Q-values of `[network]`, or the aggregate of `[ensemble]`."""
    q_function = network_q_function(config, task_spec)
    if config.ensemble.size == 1:
        return lambda weights, observation, legal_actions, rng: q_function(weights, observation, rng)
    return aggregated(q_function, config.ensemble.aggregation)


def network_q_function(config: Config, task_spec: TaskSpec) -> QFunction:
    """Makes the function that computes the Q-values of `[network]`, those of all members for an ensemble.

    It uses NumPy if that is faster, else TensorFlow.
    """
    return numpy_q_function(config, task_spec) or tensorflow_q_function(config, task_spec)


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


def tensorflow_q_function(config: Config, task_spec: TaskSpec) -> QFunction:
    """Makes a function that computes Q-values by a `tf.function` over a copy of the network.

    It assigns the weights only if they are another mapping than in the previous call.
    """
    q_function = tensorflow_recurrent_q_function(config, task_spec)
    return lambda weights, observation, rng=None: q_function(weights, observation, (), rng)[0]


def acting_device(config: Config) -> str:
    """The name of the device that `acting.device` selects; the CPU if there is no GPU.

    "auto" selects the CPU, since on a GPU that also learns a call would wait for all pending updates. For central
    inference, whose calls are large, it selects the last GPU.
    """
    choice = config.acting.device
    wants_gpu = choice == "gpu" or (choice == "auto" and config.acting.inference == "central")
    gpus = tf.config.list_logical_devices("GPU") if wants_gpu else []
    return gpus[-1].name if gpus else "/CPU:0"


def tensorflow_recurrent_q_function(config: Config, task_spec: TaskSpec) -> RecurrentQFunction:
    """As `tensorflow_q_function`, but also takes and returns the network's state; () if it has no memory."""
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
    noisy_call = tf.function(  # traced only if it is called
        lambda observation, state, draw: copy(observation, network_state=state, noise=Noise(key, draw)),
        input_signature=[*signature, tf.TensorSpec((), tf.int64)],
        autograph=False,
    )
    is_noisy = isinstance(config.network, DeepNetwork) and config.network.noisy
    assigned: Mapping[str, np.ndarray] | None = None

    def q_function(
        weights: Weights, observation: Observation, state: Any, rng: Rng | None = None
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
