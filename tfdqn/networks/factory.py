"""Q-networks: configuration and task → TF-Agents network, and the same function in NumPy for acting."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfdqn import config
from tfdqn.networks import torsos
from tfdqn.networks.eager_tensor_leak import mend_eager_tensors
from tfdqn.networks.layers.ensemble import EnsembleLayerFactory
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.layers.recorded import RecordingFactory
from tfdqn.networks.layers.tensor_parallel import SplitLayerFactory
from tfdqn.networks.numpy_inference import numpy_q_function
from tfdqn.networks.q_network import QNetwork, Torso, observation_spec
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Weights

mend_eager_tensors()  # here, since every process that makes many of them imports this

__all__ = [
    "QNetwork",
    "Weights",
    "ensemble_network",
    "network_to_load",
    "numpy_q_function",
    "observation_spec",
    "q_network",
    "split_network",
    "weight_specs",
]


def q_network(
    settings: config.Network,
    task_spec: TaskSpec,
    *,
    seed: int,
    precision: str = "float32",
    name: str = "q_network",
) -> QNetwork:
    """The network that `[network]` describes. Raises ConfigError where the task does not fit it."""
    return _network(settings, task_spec, lambda: LayerFactory(seed, precision), name)


def ensemble_network(
    settings: config.Network, task_spec: TaskSpec, *, seeds: Sequence[int], name: str = "ensemble"
) -> QNetwork:
    """K = len(seeds) such networks in one: every weight and Q, float32[K, B, A], lead with K.

    Member k starts as `q_network` does with seed `seeds[k]`. Raises as that does.
    """
    return _network(settings, task_spec, lambda: EnsembleLayerFactory(seeds), name)


def split_network(
    settings: config.Network, task_spec: TaskSpec, *, seed: int, devices: Sequence[str], name: str = "split"
) -> QNetwork:
    """The same network as `q_network`'s with its layers in pieces on several devices. Raises as that does."""
    return _network(settings, task_spec, lambda: SplitLayerFactory(seed, devices), name)


def network_to_load(config: config.Config, task_spec: TaskSpec, name: str = "q_network") -> QNetwork:
    """The network that a run acts with, all members of its ensemble, its variables made: to load weights into."""
    if config.ensemble.size == 1:
        network = q_network(config.network, task_spec, seed=0, name=name)
    else:
        seeds = range(config.ensemble.size)
        network = ensemble_network(config.network, task_spec, seeds=seeds, name=name)
    network.create_variables()
    return network


def weight_specs(config: config.Config, task_spec: TaskSpec) -> dict[str, tf.TensorSpec]:
    """The names, types and shapes of the weights that a run acts with.

    Raises ConfigError where the task does not fit the network.
    """
    members = config.ensemble.size
    record = RecordingFactory((members,) if members > 1 else ())
    _torso(config.network, task_spec, record)
    return record.specs


def _network(
    settings: config.Network, task_spec: TaskSpec, make_factory: Callable[[], LayerFactory], name: str
) -> QNetwork:
    return QNetwork(task_spec, lambda make: _torso(settings, task_spec, make), make_factory, name)


def _torso(settings: config.Network, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    match settings:
        case config.MLP():
            return torsos.mlp(settings, task_spec, make)
        case config.NatureCNN():
            return torsos.nature_cnn(settings, task_spec, make)
        case config.Linear():
            return torsos.linear(settings, task_spec, make)
