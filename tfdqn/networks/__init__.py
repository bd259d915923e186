"""Q-networks: configuration and task → TF-Agents network, and the same function in NumPy for acting."""

from functools import partial

from tfdqn import config
from tfdqn.networks import torsos
from tfdqn.networks.numpy_forward import numpy_q_function
from tfdqn.networks.q_network import QNetwork, observation_spec
from tfdqn.task_spec import TaskSpec

__all__ = ["QNetwork", "numpy_q_function", "observation_spec", "q_network"]

_TORSOS = {config.MLP: torsos.mlp, config.NatureCNN: torsos.nature_cnn, config.Linear: torsos.linear}


def q_network(settings: config.Network, task_spec: TaskSpec, *, seed: int, name: str = "q_network") -> QNetwork:
    """The network that `[network]` describes. Raises ConfigError where the task does not fit it."""
    torso = partial(_TORSOS[type(settings)], settings, task_spec)  # type: ignore[operator]
    return QNetwork(task_spec, torso, seed, name)
