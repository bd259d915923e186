"""`QNetwork`: observation → Q(s, ·), a torso and a head as one TF-Agents network."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec

from tfdqn.networks.heads.head import Head
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.noise import Noise
from tfdqn.networks.torsos import Observation, State, Torso
from tfdqn.storage.arrays import check_arrays
from tfdqn.task_spec import TaskSpec


class QNetwork(network.Network):
    """Observation (a flat dict of arrays [B, …]) → (Q float32[B, A], network state); an ensemble's leads with K.

    Args:
      task_spec: the task's observations and actions.
      build: makes the torso and the head out of a `LayerFactory`.
      make_factory: gives a fresh factory, here and for every copy of the network.
      name: of the network.
    """

    def __init__(
        self,
        task_spec: TaskSpec,
        build: Callable[[LayerFactory], tuple[Torso, Head]],
        make_factory: Callable[[], LayerFactory],
        name: str = "QNetwork",
    ):
        super().__init__(observation_spec(task_spec), state_spec=(), name=name)
        self._factory = make_factory()
        self._torso, self.head = build(self._factory)
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
        """(Q float32[B, A], network state). TF-Agents passes `step_type` and `training`, which change nothing.

        `noise` is what noisy layers draw from; None: there is none, as where the network is evaluated or served.
        """
        outputs, network_state = self.outputs(observation, network_state, noise)
        return self.head.q_values(outputs), network_state

    def outputs(
        self, observation: Observation, network_state: State = (), noise: Noise | None = None
    ) -> tuple[tf.Tensor, State]:
        """(what the head gives a loss to read, network state), where that is not Q itself."""
        features, network_state = self.features(observation, network_state, noise)
        return self.head.outputs(features, noise), network_state

    def features(
        self, observation: Observation, network_state: State = (), noise: Noise | None = None
    ) -> tuple[tf.Tensor, State]:
        """(the torso's features float32[B, F], network state)."""
        return self._torso.features(observation, network_state, noise)

    def named_weights(self) -> dict[str, tf.Variable]:
        """The weights by name ("hidden_0/kernel"), from input to output; of a split network, its pieces."""
        return self._factory.named_weights()

    def join(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays under the names of `named_weights`, with any prefix → the same under canonical names, whole."""
        return self._factory.join(arrays)

    def piece(self, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        """What belongs under one of those names, with its prefix, of whole arrays as `join` gives them."""
        return self._factory.piece(arrays, name)

    def load_named_weights(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Assigns every weight, by canonical name. Raises CheckpointError, before the first, for any others."""
        as_kept = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        check_arrays(as_kept, self._canonical_specs(), "weights")
        for name, weight in self.named_weights().items():
            weight.assign(self.piece(as_kept, name))

    @contextmanager
    def with_weights(self, tensors: Mapping[str, tf.Tensor]) -> Iterator[None]:
        """While the block runs (a graph is traced), the network computes with `tensors`, by name, for its weights.

        Keras offers no such call: its layers read their weights from attributes, which are exchanged here, below
        Keras's bookkeeping.
        """
        by_id = {id(variable): tensors[name] for name, variable in self.named_weights().items()}
        exchanged = [
            (layer, attribute, value)
            for layer in self.made_layers
            for attribute, value in vars(layer).items()
            if id(value) in by_id
        ]
        if len(exchanged) != len(by_id):
            raise RuntimeError(f"{self.name}: {len(by_id)} weights, of which {len(exchanged)} were found")
        try:
            for layer, attribute, value in exchanged:
                vars(layer)[attribute] = tf.cast(by_id[id(value)], layer.compute_dtype)
            yield
        finally:
            for layer, attribute, value in exchanged:
                vars(layer)[attribute] = value

    def _canonical_specs(self) -> dict[str, tf.TensorSpec]:
        """What `join` gives of the weights; asked for at every refresh of an actor's, so made once."""
        if self._specs is None:
            whole = self.join({name: weight.numpy() for name, weight in self.named_weights().items()})
            self._specs = {name: tf.TensorSpec(array.shape, array.dtype) for name, array in whole.items()}
        return self._specs


def observation_spec(task_spec: TaskSpec) -> dict[str, tensor_spec.BoundedTensorSpec]:
    """The observation as TF-Agents specs; categorical ones are bounded, so that samples of them are legal."""
    return {
        key: tensor_spec.BoundedTensorSpec(
            spec.shape,
            spec.dtype,
            spec.start if spec.categories else 0,
            spec.start + spec.categories - 1 if spec.categories else 1,
            name=key,
        )
        for key, spec in task_spec.observation.items()
    }
