"""`QNetwork`: observation → Q(s, ·), as a TF-Agents network around one paper's torso."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec

from tfdqn.task_spec import TaskSpec

Observation = dict[str, tf.Tensor]
Torso = Callable[[Observation], tf.Tensor]
TorsoBuilder = Callable[["LayerFactory"], Torso]


class LayerFactory:
    """Makes named layers with seeded initial weights and remembers them in order.

    Weights and biases start uniform in ±1/√fan_in, as in the code of Mnih et al. 2015 (Torch's default).
    """

    def __init__(self, seed: int):
        self._seeds = np.random.SeedSequence(seed)
        self.layers: list[tf.keras.layers.Layer] = []

    def dense(self, name: str, units: int, activation: str | None = None, *, fan_in: int) -> Callable:
        return self._keep(tf.keras.layers.Dense(units, activation, name=name, **self._initializers(fan_in)))

    def linear(self, name: str, units: int) -> Callable:
        """A dense layer without bias, all zero at first: θ of the linear network."""
        return self._keep(tf.keras.layers.Dense(units, use_bias=False, kernel_initializer="zeros", name=name))

    def conv(self, name: str, filters: int, size: int, stride: int, *, channels_in: int) -> Callable:
        fan_in = channels_in * size * size
        return self._keep(
            tf.keras.layers.Conv2D(
                filters, size, stride, activation="relu", name=name, **self._initializers(fan_in)
            )
        )

    def _initializers(self, fan_in: int) -> dict:
        bound = fan_in**-0.5
        uniform = tf.keras.initializers.RandomUniform
        kernel_seed, bias_seed = (int(child.generate_state(1)[0] >> 1) for child in self._seeds.spawn(2))
        return {
            "kernel_initializer": uniform(-bound, bound, seed=kernel_seed),
            "bias_initializer": uniform(-bound, bound, seed=bias_seed),
        }

    def _keep(self, layer: tf.keras.layers.Layer) -> Callable:
        self.layers.append(layer)
        return layer


class QNetwork(network.Network):
    """Observation (a flat dict of arrays [B, …]) → (Q float32[B, A], network state ()).

    Args:
      task_spec: the task's observations and actions.
      torso: builds the function from observation to Q-values out of a `LayerFactory`.
      seed: of the initial weights.
      name: of the network.
    """

    def __init__(self, task_spec: TaskSpec, torso: TorsoBuilder, seed: int, name: str = "QNetwork"):
        super().__init__(observation_spec(task_spec), state_spec=(), name=name)
        factory = LayerFactory(seed)
        self._apply_torso = torso(factory)
        self._ordered_layers = factory.layers

    def call(
        self,
        observation: Observation,
        step_type: tf.Tensor | None = None,
        network_state: tuple = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, tuple]:
        return self._apply_torso(observation), network_state

    def named_weights(self) -> dict[str, tf.Variable]:
        """The weights by canonical name ("hidden_0/kernel"), from input to output."""
        return {
            f"{layer.name}/{'kernel' if weight is layer.kernel else 'bias'}": weight
            for layer in self._ordered_layers
            for weight in layer.weights
        }

    def load_named_weights(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Assigns every weight. Raises KeyError for a missing name, ValueError for another shape."""
        for name, weight in self.named_weights().items():
            weight.assign(arrays[name])


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
