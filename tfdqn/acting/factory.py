"""`make_policy` and `make_q_function`: make the policy that a configuration describes, and the Q-function it acts by.

Q-values are computed by NumPy where that is faster (`networks.factory.numpy_q_function`), else by a `tf.function`.
Aggregation of an ensemble and exploration (`Explorer`) are in NumPy in either case.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfdqn.acting.exploration import Explorer
from tfdqn.acting.policy import ActionValues, Policy, aggregated
from tfdqn.acting.stateful_policies import MemberPolicy, RecurrentPolicy
from tfdqn.config import Config, DeepNetwork, Exploration
from tfdqn.networks.factory import (
    QFunction,
    RecurrentQFunction,
    network_to_load,
    numpy_q_function,
    numpy_recurrent_q_function,
    own_network_parts,
)
from tfdqn.networks.noise import Noise
from tfdqn.randomness import derived_seed
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Observation, Rng, Weights


def make_policy(
    config: Config,
    task_spec: TaskSpec,
    exploration: Exploration | None = None,
    num_envs: int = 1,
    actor: int = 0,
    action_values: ActionValues | None = None,
) -> Policy:
    """Makes the policy of the configuration's network or ensemble.

    Args:
      exploration: how to explore; None: always choose the best legal action.
      action_values: computes Q-values instead of the network, which then can't have a memory.
    """
    all_legal = task_spec.all_legal if len(task_spec.num_actions) > 1 else None
    explorer = Explorer(exploration, num_envs, actor, config.acting.actors, all_legal)
    policy: Policy
    if config.network.state_size:
        q_function = numpy_recurrent_q_function(config, task_spec) or tensorflow_recurrent_q_function(config, task_spec)
        policy = RecurrentPolicy(q_function, config.network.state_size, explorer)
    elif exploration is not None and config.ensemble.acting == "member":
        policy = MemberPolicy(network_q_function(config, task_spec), config.ensemble, explorer)
    else:
        policy = Policy(action_values or make_q_function(config, task_spec), explorer)
    policy.own_parts = own_network_parts(config)
    return policy


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


def tensorflow_q_function(config: Config, task_spec: TaskSpec) -> QFunction:
    """Makes a function that computes Q-values by a `tf.function` over a copy of the network.

    It assigns the weights only if they are another mapping than in the previous call.
    """
    q_function = tensorflow_recurrent_q_function(config, task_spec)
    return lambda weights, observation, rng=None: q_function(weights, observation, (), rng)[0]


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


def acting_device(config: Config) -> str:
    """The name of the device that `acting.device` selects; the CPU if there is no GPU.

    "auto" selects the CPU, since on a GPU that also learns a call would wait for all pending updates. For central
    inference, whose calls are large, it selects the last GPU.
    """
    choice = config.acting.device
    wants_gpu = choice == "gpu" or (choice == "auto" and config.acting.inference == "central")
    gpus = tf.config.list_logical_devices("GPU") if wants_gpu else []
    return gpus[-1].name if gpus else "/CPU:0"
