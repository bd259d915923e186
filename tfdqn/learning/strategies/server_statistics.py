"""`ServerStatistics`: running statistics of observations on a parameter server, which workers read and add to."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.learning.flat_vector import FlatLayout, flat_tensor
from tfdqn.networks.layers.statistics import Moments, merged
from tfdqn.networks.q_network import QNetwork
from tfdqn.storage.arrays import add_prefix, with_prefix


class ServerStatistics:
    """The running statistics, which the online and the target network share, as one undivided vector on one server."""

    def __init__(self, network: QNetwork, config: Config, device: str):
        learned = network.learned_weights()
        counted = {name: weight for name, weight in network.named_weights().items() if name not in learned}
        self._layers = {key: layer.name for key, layer in network.statistics.items()}
        self._layout = FlatLayout(counted)
        self._networks = ("online", "target") if config.agent.has_target_network else ("online",)
        with tf.device(device):
            self._flat = tf.Variable(tf.zeros([self._layout.size]), trainable=False, name="statistics")
            self._one_at_a_time = tf.CriticalSection(name="statistics")

    def read(self) -> tf.Tensor:
        """In a worker's graph: reads them, float32[S]."""
        return self._flat.read_value()

    def named_tensors(self, flat: tf.Tensor) -> dict[str, tf.Tensor]:
        """Splits float32[S] into tensors by the weights' names."""
        return self._layout.named_tensors(flat)

    def flat(self, moments: Mapping[str, Moments]) -> tf.Tensor:
        """Concatenates a batch's moments, given for each array of the observation, into float32[S]."""
        named = {
            f"{layer}/{name}": tf.broadcast_to(value, self._layout.shapes[f"{layer}/{name}"])
            for key, layer in self._layers.items()
            for name, value in moments[key]._asdict().items()
        }
        return flat_tensor([named[name] for name in self._layout.shapes])

    def add(self, moments: tf.Tensor, accepted: tf.Tensor) -> tf.Tensor:
        """In a worker's graph: merges the first `accepted` of the moments float32[N, S] of consecutive updates."""

        def one(i: tf.Tensor, flat: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return i + 1, self._merged(flat, moments[i])

        def merge() -> tf.Tensor:
            start = (tf.constant(0, tf.int64), self._flat.read_value())
            _, flat = tf.while_loop(lambda i, _: i < accepted, one, start)
            with tf.control_dependencies([self._flat.assign(flat)]):
                return tf.identity(accepted)

        with tf.device(self._flat.device):
            return self._one_at_a_time.execute(merge)

    def weights(self) -> dict[str, np.ndarray]:
        """The statistics, by name."""
        return self._layout.named(self._flat.numpy())

    def state(self) -> dict[str, np.ndarray]:
        """Both networks' statistics, by their names in a checkpoint; the target's only if the loss uses it."""
        named = self.weights()
        return {f"{network}/{name}": array for network in self._networks for name, array in named.items()}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._flat.assign(self._layout.flat(with_prefix("online", arrays)))

    def _merged(self, flat: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
        old_named, new_named = self.named_tensors(flat), self.named_tensors(new)
        parts: dict[str, tf.Tensor] = {}
        for layer in self._layers.values():
            old, batch = (
                Moments(*(named[f"{layer}/{name}"] for name in Moments._fields)) for named in (old_named, new_named)
            )
            parts |= add_prefix(layer, merged(old, batch)._asdict())
        return flat_tensor([parts[name] for name in self._layout.shapes])
