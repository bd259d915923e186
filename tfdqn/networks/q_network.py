"""`QNetwork`: a torso, perhaps a memory, and a head as one TF-Agents network, which computes Q(s, ·)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec

from tfdqn.config.own_code import source_of
from tfdqn.networks.heads.head import Head
from tfdqn.networks.layers.memory import Memory
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.layers.statistics import RunningStatistics
from tfdqn.networks.noise import Noise
from tfdqn.networks.own_parts import fits, misfit
from tfdqn.networks.torsos.torso import Observation, Torso, batch_of
from tfdqn.storage.arrays import check_arrays
from tfdqn.task_spec import TaskSpec

State = Any  # the memory's, float32[B, S]; () if there is none


class QNetwork(network.Network):
    """Computes (Q float32[B, A], network state) from an observation, a flat dict of arrays [B, …].

    For an ensemble, Q has a leading axis K. The state is that of the memory, float32[B, S], with zeros where an episode
    begins; () means zeros everywhere, and is the state of a network without a memory.

    Args:
      build: makes the torso, the memory or None, and the head by a `LayerFactory`.
      make_factory: makes a new factory, here and for every copy of the network.
    """

    def __init__(
        self,
        task_spec: TaskSpec,
        build: Callable[[LayerFactory], tuple[Torso, Memory | None, Head]],
        make_factory: Callable[[], LayerFactory],
        name: str,
    ):
        factory = make_factory()
        torso, memory, head = build(factory)
        state_spec = () if memory is None else tf.TensorSpec([memory.state_size], tf.float32)
        super().__init__(observation_spec(task_spec), state_spec=state_spec, name=name)
        self._factory, self._torso, self._memory, self.head = factory, torso, memory, head
        self._actions = task_spec.mask_shape
        self._specs: dict[str, tf.TensorSpec] | None = None
        self.made_layers = self._factory.layers  # an attribute, so that Keras counts their weights as its own

    def call(
        self,
        observation: Observation,
        step_type: tf.Tensor | None = None,
        network_state: State = (),
        training: bool = False,
        noise: Noise | None = None,
    ) -> tuple[tf.Tensor, State]:
        """Returns (Q float32[B, A], network state). `step_type` and `training`, which TF-Agents passes, are ignored.

        `noise` is for noisy layers; None: there is none, as in evaluation and serving.
        """
        with _unchanged_by_keras():
            outputs, network_state = self.outputs(observation, network_state, noise)
            q_values = self.head.q_values(outputs)
            shape = [*self._factory.leading, *batch_of(observation), *self._actions]
            if not fits(q_values, shape):
                raise misfit(f"{source_of(self.head.q_values)} returned", q_values, shape)
        return q_values, network_state

    def outputs(
        self, observation: Observation, network_state: State = (), noise: Noise | None = None
    ) -> tuple[tf.Tensor, State]:
        """Returns (the outputs of the head, which the loss reads; network state)."""
        features, network_state = self.features(observation, network_state)
        return self.head.outputs(features, noise), network_state

    def features(self, observation: Observation, network_state: State = ()) -> tuple[tf.Tensor, State]:
        """Returns (features float32[B, F] of the memory or, without one, of the torso; network state)."""
        features = self._torso.features(observation)
        if self._memory is None:
            return features, network_state
        if isinstance(network_state, tuple):
            network_state = tf.zeros([tf.shape(features)[0], self._memory.state_size])
        return self._memory(features, network_state)

    def unroll(self, observation: Observation, state: tf.Tensor, first: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Unrolls the memory over observations [B, T, …]; other arguments as of `Memory.unroll`.

        Returns (features float32[B, T, F], the state after them).
        """
        assert self._memory is not None
        batch, steps = next(iter(observation.values())).shape[:2]
        flat = {key: tf.reshape(array, [-1, *array.shape[2:]]) for key, array in observation.items()}
        features = self._torso.features(flat)
        return self._memory.unroll(
            tf.reshape(features, [-1 if batch is None else batch, steps, features.shape[-1]]), state, first
        )

    def named_weights(self) -> dict[str, tf.Variable]:
        """The weights by name ("hidden_0/kernel"), from input to output; for a split network, their pieces."""
        return self._factory.named_weights()

    def learned_weights(self) -> dict[str, tf.Variable]:
        """The weights that gradients change: all of `named_weights` except running statistics."""
        statistics = tuple(f"{layer.name}/" for layer in self.statistics.values())
        return {name: weight for name, weight in self.named_weights().items() if not name.startswith(statistics)}

    @property
    def statistics(self) -> dict[str, RunningStatistics]:
        """The running statistics of the observation's arrays that are normalised, by their keys."""
        return self._factory.statistics

    def join(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Joins the pieces of arrays; names are those of `named_weights`, with any prefix. Returns canonical names."""
        return self._factory.join(arrays)

    def piece(self, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        """The inverse of `join`: the array, or piece of one, for a name of `named_weights` with any prefix."""
        return self._factory.piece(arrays, name)

    def load_named_weights(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Assigns all weights, by canonical name. Raises CheckpointError, before any, if these aren't its weights."""
        as_kept = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        check_arrays(as_kept, self._canonical_specs(), "weights")
        for name, weight in self.named_weights().items():
            weight.assign(self.piece(as_kept, name))

    @contextmanager
    def with_weights(self, tensors: Mapping[str, tf.Tensor]) -> Iterator[None]:
        """Makes the network compute with `tensors`, by name, in place of its weights while the block runs.

        Keras has no API for that. Its layers read their weights from attributes, so this replaces the variable in each
        attribute by its tensor, without Keras's knowledge, and puts it back afterwards.
        """
        tensor_of = {id(variable): tensors[name] for name, variable in self.named_weights().items()}
        attributes = [
            (layer, attribute, variable)
            for layer in self.made_layers
            for attribute, variable in vars(layer).items()
            if id(variable) in tensor_of
        ]
        if len(attributes) != len(tensor_of):
            raise RuntimeError(f"{self.name}: {len(tensor_of)} weights, of which {len(attributes)} were found")
        try:
            for layer, attribute, variable in attributes:
                vars(layer)[attribute] = tf.cast(tensor_of[id(variable)], layer.compute_dtype)
            yield
        finally:
            for layer, attribute, variable in attributes:
                vars(layer)[attribute] = variable

    def _canonical_specs(self) -> dict[str, tf.TensorSpec]:
        """The shapes and types of the weights, by canonical name; cached, since actors load weights often."""
        if self._specs is None:
            whole = self.join({name: weight.numpy() for name, weight in self.named_weights().items()})
            self._specs = {name: tf.TensorSpec(array.shape, array.dtype) for name, array in whole.items()}
        return self._specs


@contextmanager
def _unchanged_by_keras() -> Iterator[None]:
    """Raises errors of the block as they are: Keras would add a layer's arguments to their messages."""
    try:
        yield
    except Exception as error:
        error._keras_call_info_injected = True  # type: ignore[attr-defined]  # so that Keras believes it has done so
        raise


def observation_spec(task_spec: TaskSpec) -> dict[str, tensor_spec.BoundedTensorSpec]:
    """The observation as TF-Agents specs. Categorical arrays are bounded, so that samples of them are valid."""
    specs = {}
    for key, spec in task_spec.observation.items():
        least, most = (spec.start, spec.start + spec.categories - 1) if spec.categories else (0, 1)
        specs[key] = tensor_spec.BoundedTensorSpec(spec.shape, spec.dtype, least, most, name=key)
    return specs
