"""Q-networks: configuration and task → TF-Agents network, and the same function in NumPy for acting."""

from tfdqn import config
from tfdqn.networks import torsos
from tfdqn.networks.layers import LayerFactory
from tfdqn.networks.numpy_forward import Weights, numpy_q_function
from tfdqn.networks.q_network import QNetwork, Torso, observation_spec
from tfdqn.task_spec import TaskSpec

__all__ = ["QNetwork", "Weights", "numpy_q_function", "observation_spec", "q_network"]


def q_network(
    settings: config.Network, task_spec: TaskSpec, *, seed: int, name: str = "q_network"
) -> QNetwork:
    """The network that `[network]` describes. Raises ConfigError where the task does not fit it."""

    def torso(make: LayerFactory) -> Torso:
        match settings:
            case config.MLP():
                return torsos.mlp(settings, task_spec, make)
            case config.NatureCNN():
                return torsos.nature_cnn(settings, task_spec, make)
            case config.Linear():
                return torsos.linear(settings, task_spec, make)

    return QNetwork(task_spec, torso, seed, name)
