"""`ServerStatistics`: running statistics on a parameter server, into which the moments of batches are merged."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.learning.flat_vector import FlatLayout, flat_tensor
from tfdqn.networks.layers.statistics import Moments, merged
from tfdqn.networks.q_network import QNetwork


class ServerStatistics:
    """The statistics of the online and the target network, each as one undivided vector on one server.

    Args:
      network: a network that has running statistics.
      config: `agent` says when the target network's are updated.
      device: the server's device.
    """

    def __init__(self, network: QNetwork, config: Config, device: str):
        learned = network.learned_weights()
        counted = {name: weight for name, weight in network.named_weights().items() if name not in learned}
        self._layers = {key: layer.name for key, layer in network.statistics.items()}
        self._layout = FlatLayout(counted)
        self._period = config.agent.target_update_period_train_steps
        self._tau = config.agent.target_update_tau
        with tf.device(device):
            self._online, self._target = (
                tf.Variable(tf.zeros([self._layout.size]), trainable=False, name=name)
                for name in ("statistics", "target_statistics")
            )
            self._one_at_a_time = tf.CriticalSection(name="statistics")

    def read(self) -> tf.Tensor:
        """In a worker's graph: reads the online network's and the target's statistics, float32[2, S]."""
        return tf.stack([self._online.read_value(), self._target.read_value()])

    def named_tensors(self, flat: tf.Tensor) -> dict[str, tf.Tensor]:
        """Splits float32[S] into tensors by the weights' names."""
        return self._layout.named_tensors(flat)

    def flat(self, moments: Mapping[str, Moments]) -> tf.Tensor:
        """Concatenates a batch's moments, given for each array of the observation, into float32[S]."""
        named = {
            f"{layer}/{name}": tf.broadcast_to(value, self._layout.shape_of(f"{layer}/{name}"))
            for key, layer in self._layers.items()
            for name, value in moments[key]._asdict().items()
        }
        return flat_tensor([named[name] for name in self._layout.names])

    def add(self, moments: tf.Tensor, first: tf.Tensor, accepted: tf.Tensor) -> tf.Tensor:
        """In a worker's graph: merges the first `accepted` of the moments float32[N, S] of consecutive updates.

        `first` is the number of updates before these.
        """

        def one(i: tf.Tensor, online: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            online = self._merged(online, moments[i])
            moved = online if self._tau == 1 else target + self._tau * (online - target)
            is_due = tf.equal((first + i + 1) % self._period, 0)
            return i + 1, online, tf.where(is_due, moved, target)

        def merge() -> tf.Tensor:
            start = (tf.constant(0, tf.int64), self._online.read_value(), self._target.read_value())
            _, online, target = tf.while_loop(lambda i, *_: i < accepted, one, start)
            with tf.control_dependencies([self._online.assign(online), self._target.assign(target)]):
                return tf.identity(accepted)

        with tf.device(self._online.device):
            return self._one_at_a_time.execute(merge)

    def weights(self) -> dict[str, np.ndarray]:
        """The online network's statistics, by name."""
        return self._layout.named(self._online.numpy())

    def state(self) -> dict[str, np.ndarray]:
        """Both networks' statistics, by their names in a checkpoint."""
        target = self._layout.named(self._target.numpy())
        return {f"online/{name}": array for name, array in self.weights().items()} | {
            f"target/{name}": array for name, array in target.items()
        }

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""
        for prefix, variable in (("online", self._online), ("target", self._target)):
            variable.assign(self._layout.flat({name: arrays[f"{prefix}/{name}"] for name in self._layout.names}))

    def _merged(self, flat: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
        old_named, new_named = self.named_tensors(flat), self.named_tensors(new)
        parts: dict[str, tf.Tensor] = {}
        for layer in self._layers.values():
            old, batch = (
                Moments(*(named[f"{layer}/{name}"] for name in Moments._fields)) for named in (old_named, new_named)
            )
            parts |= {f"{layer}/{name}": value for name, value in merged(old, batch)._asdict().items()}
        return flat_tensor([parts[name] for name in self._layout.names])
