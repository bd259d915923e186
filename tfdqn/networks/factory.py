"""Makes the Q-network that a configuration describes, as a TF-Agents network, and as a NumPy function for acting."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import tensorflow as tf

from tfdqn.config import Config, DeepNetwork
from tfdqn.config.own_code import is_own, own_among, require_function, source_of
from tfdqn.errors import ConfigError, OwnCodeError
from tfdqn.networks.eager_tensor_leak import mend_eager_tensors
from tfdqn.networks.heads.head import Head, NumpyHead, checked_head
from tfdqn.networks.heads.table import HEADS
from tfdqn.networks.layers.ensemble import EnsembleLayerFactory
from tfdqn.networks.layers.in_numpy import MEMORIES_NUMPY
from tfdqn.networks.layers.memory import Memory
from tfdqn.networks.layers.plain import LayerFactory, RecordingFactory
from tfdqn.networks.layers.tensor_parallel import SplitLayerFactory
from tfdqn.networks.own_parts import described
from tfdqn.networks.q_network import QNetwork
from tfdqn.networks.torsos.table import TORSOS
from tfdqn.networks.torsos.torso import NumpyTorso, Torso, check_convolutions, checked_torso
from tfdqn.task_spec import TaskSpec, check_input_names
from tfdqn.types import Rng, Weights

NumpyFunction = TypeVar("NumpyFunction", NumpyTorso, NumpyHead)
MEMORY = "memory"  # the recurrent layer's name
TRIAL_ROWS = 3  # of an observation that the user's parts are tried with: more than one, rarely another axis's size


class QFunction(Protocol):
    """Computes Q by a network without a memory, on NumPy arrays."""

    def __call__(self, weights: Weights, observation: dict[str, np.ndarray], rng: Rng | None = None) -> np.ndarray:
        """Returns Q float32[B, A]; float32[K, B, A] for an ensemble, whose weights have a leading axis K.

        Noisy layers draw from `rng`; without it they have no noise.
        """


class RecurrentQFunction(Protocol):
    """Computes Q by a network with a memory, on NumPy arrays."""

    def __call__(
        self, weights: Weights, observation: dict[str, np.ndarray], state: Any, rng: Rng | None = None
    ) -> tuple[np.ndarray, Any]:
        """Returns (Q float32[B, A], the next state), given the state float32[B, S]; `rng` as of `QFunction`."""


def q_network(
    config: Config,
    task_spec: TaskSpec,
    *,
    seed: int,
    precision: str = "float32",
    in_xla: bool = False,
    dense_precision: str | None = None,
    name: str = "q_network",
) -> QNetwork:
    """Makes the network of `[network]`, with the head of the loss. Raises ConfigError if the task does not fit it.

    `precision`, `in_xla` and `dense_precision` are as of `LayerFactory`.
    """
    return _network(config, task_spec, lambda: LayerFactory(seed, precision, in_xla, dense_precision), name)


def ensemble_network(config: Config, task_spec: TaskSpec, *, seeds: Sequence[int], name: str = "ensemble") -> QNetwork:
    """Makes K = len(seeds) such networks in one; every weight, and Q float32[K, B, A], has a leading axis K.

    Member k has the initial weights of `q_network` with seed `seeds[k]`. Raises ConfigError as that does, and if the
    head can't be an ensemble's.
    """
    return _network(config, task_spec, lambda: EnsembleLayerFactory(seeds), name)


def split_network(config: Config, task_spec: TaskSpec, *, seed: int, devices: Sequence[str]) -> QNetwork:
    """Makes the same network as `q_network`, its layers split over several devices. Raises ConfigError as that does."""
    return _network(config, task_spec, lambda: SplitLayerFactory(seed, devices), "split")


def network_to_load(config: Config, task_spec: TaskSpec, name: str = "q_network") -> QNetwork:
    """Makes the network that a run acts with, or its ensemble, with variables into which weights can be loaded."""
    if config.ensemble.size == 1:
        network = q_network(config, task_spec, seed=0, name=name)
    else:
        network = ensemble_network(config, task_spec, seeds=range(config.ensemble.size), name=name)
    network.create_variables()
    if own := own_among(TORSOS.of(config.network).build, _head_builder(config, task_spec)):
        _check_variables(network, task_spec, weight_specs(config, task_spec), own)
    return network


def own_network_parts(config: Config) -> str:
    """The sources of the user's parts that Q-values are computed by; empty if there are none."""
    torso, head = TORSOS.of(config.network), HEADS.of(config.agent)
    return own_among(torso.build, torso.in_numpy, head.build, head.in_numpy, *(head.branches or ()))


def weight_specs(config: Config, task_spec: TaskSpec) -> dict[str, tf.TensorSpec]:
    """The names, types and shapes of the weights that a run acts with.

    Raises ConfigError if the task does not fit the network, and TaskError for names that an export can't have.
    """
    members = config.ensemble.size
    record = RecordingFactory((members,) if members > 1 else ())
    _build(config, task_spec, record)
    return record.specs


def numpy_q_function(config: Config, task_spec: TaskSpec) -> QFunction | None:
    """Makes a NumPy function that computes Q; None for networks for which that isn't faster than a `tf.function`.

    It is faster for small networks, dense or convolutional, as `python -m benchmarks.acting` shows. It uses no
    TensorFlow thread, and so never waits for a learner.
    """
    if (parts := _numpy_parts(config, task_spec)) is None:
        return None
    torso, head = parts

    def q_function(weights: Weights, observation: dict[str, np.ndarray], rng: Rng | None = None) -> np.ndarray:
        return head(weights, torso(weights, observation), rng)

    return q_function


def numpy_recurrent_q_function(config: Config, task_spec: TaskSpec) -> RecurrentQFunction | None:
    """As `numpy_q_function`, but for a network with a memory."""
    if (parts := _numpy_parts(config, task_spec)) is None or not isinstance(config.network, DeepNetwork):
        return None
    (torso, head), memory = parts, MEMORIES_NUMPY[config.network.memory]

    def q_function(
        weights: Weights, observation: dict[str, np.ndarray], state: np.ndarray, rng: Rng | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        features, state = memory(weights, MEMORY, torso(weights, observation), state)
        return head(weights, features, rng), state

    return q_function


def _numpy_parts(config: Config, task_spec: TaskSpec) -> tuple[NumpyTorso, NumpyHead] | None:
    """The torso and the head; None if one of them has no NumPy version."""
    make_torso, head = TORSOS.of(config.network).in_numpy, _numpy_head(config, task_spec)
    if make_torso is None or head is None:
        return None
    return _made_in_numpy(make_torso(config.network, task_spec), make_torso, "weights", "observation"), head


def _numpy_head(config: Config, task_spec: TaskSpec) -> NumpyHead | None:
    kind, parameters = HEADS.of(config.agent), ("weights", "features", "rng")
    if len(task_spec.num_actions) == 1:
        return kind.in_numpy and _made_in_numpy(kind.in_numpy(config), kind.in_numpy, *parameters)
    if kind.branches is None:
        return None
    make = kind.branches.in_numpy
    return _made_in_numpy(make(config, task_spec.num_actions), make, *parameters)


def _made_in_numpy(function: NumpyFunction, make: Callable[..., NumpyFunction], *parameters: str) -> NumpyFunction:
    """Returns the `function` that `make` has made; raises OwnCodeError unless it takes these arguments."""
    if is_own(make):
        require_function(function, f"the result of {source_of(make)}", *parameters)
    return function


def _network(config: Config, task_spec: TaskSpec, make_factory: Callable[[], LayerFactory], name: str) -> QNetwork:
    return QNetwork(task_spec, lambda make: _build(config, task_spec, make), make_factory, name)


def _build(config: Config, task_spec: TaskSpec, make: LayerFactory) -> tuple[Torso, Memory | None, Head]:
    mend_eager_tensors()  # here, since every process that makes many eager tensors builds a network or its weights
    network, kind = config.network, HEADS.of(config.agent)
    check_input_names(task_spec.id, task_spec.observation, task_spec.action_masks, network.state_size > 0)
    build_torso, memory = TORSOS.of(network).build, None
    torso = checked_torso(build_torso(network, task_spec, make), build_torso, make, isinstance(make, SplitLayerFactory))
    width = torso.width
    if isinstance(network, DeepNetwork) and network.state_size:
        memory = make.memory(MEMORY, network.memory, network.memory_units, fan_in=width)
        width = network.memory_units
    if config.ensemble.size > 1 and not kind.takes_members:
        raise ConfigError(
            f"ensemble.size = {config.ensemble.size} needs an agent.kind whose head takes the features of several "
            f'members, not "{config.agent.kind}"'
        )
    build_head, counts = _head_builder(config, task_spec), task_spec.num_actions
    actions = counts[0] if len(counts) == 1 else counts
    head = checked_head(build_head(config, width, actions, make), build_head)
    check_convolutions(network, make, own_among(build_torso, build_head))
    return torso, memory, head


def _head_builder(config: Config, task_spec: TaskSpec) -> Callable[..., Head]:
    """The function that makes the head. Raises ConfigError if the head can't have the task's action dimensions."""
    kind = HEADS.of(config.agent)
    if len(task_spec.num_actions) == 1:
        return kind.build
    if kind.branches is None:
        raise ConfigError(
            f'task.action_form = "branches" needs an agent.kind whose head has Q-values for each action dimension, not '
            f'"{config.agent.kind}"'
        )
    return kind.branches.build


def _check_variables(network: QNetwork, task_spec: TaskSpec, specs: Mapping[str, tf.TensorSpec], own: str) -> None:
    """Raises OwnCodeError unless the network uses exactly the weights `specs` that its layers say to have.

    `own` names the functions of the user's that make the network, for the error.
    """
    observation = {
        key: tf.TensorSpec((TRIAL_ROWS, *spec.shape), spec.dtype) for key, spec in task_spec.observation.items()
    }
    traced = tf.function(lambda observation: network(observation)[0], autograph=False)
    named = network.named_weights()
    known = {id(each) for each in named.values()}
    used = traced.get_concrete_function(observation).graph.variables  # in no order
    if unknown := sorted(each.name for each in used if id(each) not in known):
        raise OwnCodeError(
            f"{own}: the variable {unknown[0]} would be neither trained nor saved: layers must come from the argument "
            "make, such as make.dense(…)"
        )
    for name, spec in specs.items():
        if name not in named:
            raise OwnCodeError(f"{own}: a layer with the weight {name} is made, and never called")
        if named[name].shape != spec.shape:
            raise OwnCodeError(
                f"{own}: {name} is made as {described(spec)}, but what its layer is called with makes it "
                f"{described(named[name])}: correct fan_in or channels_in"
            )
