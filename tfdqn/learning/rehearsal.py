"""`rehearse`: tries the user's own loss, head and torso once, before anything acts and long before the first update.

It does nothing for the built-in ones.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfdqn.agents.losses.table import LOSSES
from tfdqn.config import Config
from tfdqn.config.own_code import own_among
from tfdqn.config.user_modules import own_updates_as_own_code_error
from tfdqn.errors import OwnCodeError
from tfdqn.learning.updater import Updater
from tfdqn.networks.factory import TRIAL_ROWS, network_to_load, numpy_q_function, numpy_recurrent_q_function
from tfdqn.networks.heads.table import HEADS
from tfdqn.networks.own_parts import described
from tfdqn.networks.torsos.table import TORSOS
from tfdqn.task_spec import TaskSpec

_TOLERANCE = 1e-2  # relative; the order of sums and approximations of functions differ


def rehearse(config: Config, task_spec: TaskSpec, updater: Updater) -> None:
    """Checks the network, and traces the updates, if any part of them is the user's own.

    `updater`, this process's, need not trace again what it traces here. Raises OwnCodeError, and what the user's
    functions raise.
    """
    torso, head = TORSOS.of(config.network), HEADS.of(config.agent)
    if in_numpy := own_among(torso.in_numpy, head.in_numpy, head.branches and head.branches.in_numpy):
        _check_numpy(config, task_spec, in_numpy)
    with own_updates_as_own_code_error(own := own_parts_of(config), is_tracing=True):
        if own:
            updater.trace()


def own_parts_of(config: Config) -> str:
    """The sources of the user's parts that updates are made of; empty if there are none."""
    torso, head = TORSOS.of(config.network), HEADS.of(config.agent)
    return own_among(LOSSES.of(config.agent), torso.build, head.build, head.branches and head.branches.build)


def _check_numpy(config: Config, task_spec: TaskSpec, own: str) -> None:
    """Raises OwnCodeError unless the network's Q-values are the same in NumPy, if it can compute them there."""
    with tf.device("/CPU:0"):
        network = network_to_load(config, task_spec)
    observation = tensor_spec.sample_spec_nest(network.input_tensor_spec, seed=0, outer_dims=(TRIAL_ROWS,))
    weights = {name: weight.numpy() for name, weight in network.named_weights().items()}
    arrays = {key: tensor.numpy() for key, tensor in observation.items()}
    found: Any
    if size := config.network.state_size:
        recurrent = numpy_recurrent_q_function(config, task_spec)
        found = recurrent and recurrent(weights, arrays, np.zeros((TRIAL_ROWS, size), np.float32))[0]
    else:
        plain = numpy_q_function(config, task_spec)
        found = plain and plain(weights, arrays)
    if found is None:
        return
    due = network(observation)[0].numpy()
    if not isinstance(found, np.ndarray) or found.dtype != due.dtype or found.shape != due.shape:
        raise OwnCodeError(f"{own}: in NumPy, Q is {described(found)}; expected {described(due)}")
    differences = np.abs(found - due)
    if differences.max() > _TOLERANCE * max(np.abs(due).max(), 1.0):
        worst = np.unravel_index(differences.argmax(), due.shape)
        raise OwnCodeError(
            f"{own}: in NumPy, Q is {found[worst]:.6g}, where TensorFlow computes {due[worst]:.6g} by the same weights"
        )
