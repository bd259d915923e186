"""`QNetwork`: observation → Q(s, ·), as a TF-Agents network around one paper's torso."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec

from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.storage.arrays import check_arrays
from tfdqn.task_spec import TaskSpec

Observation = dict[str, tf.Tensor]
Torso = Callable[[Observation], tf.Tensor]
TorsoBuilder = Callable[[LayerFactory], Torso]


class QNetwork(network.Network):
    """Observation (a flat dict of arrays [B, …]) → (Q float32[B, A], network state ()); an ensemble's leads with K.

    Args:
      task_spec: the task's observations and actions.
      torso: builds the function from observation to Q-values out of a `LayerFactory`.
      make_factory: gives a fresh factory, here and for every copy of the network.
      name: of the network.
    """

    def __init__(
        self,
        task_spec: TaskSpec,
        torso: TorsoBuilder,
        make_factory: Callable[[], LayerFactory],
        name: str = "QNetwork",
    ):
        super().__init__(observation_spec(task_spec), state_spec=(), name=name)
        factory = make_factory()
        self._apply_torso = torso(factory)
        self._factory = factory
        self._specs: dict[str, tf.TensorSpec] | None = None
        self.torso_layers = (
            factory.layers
        )  # an attribute, so that Keras counts their weights as the network's

    def call(
        self,
        observation: Observation,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, tuple]:
        return self._apply_torso(observation), network_state

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
