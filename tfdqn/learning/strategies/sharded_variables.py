"""`ShardedVariables`: weights, target and optimizer on parameter servers, read and updated in few, large calls.

Each is one vector, divided into one shard per parameter server. So reading all of them takes one call to each server,
and so does applying any number of gradients. Workers read without waiting for one another, and a push of N gradients

1. claims its turn on the first server, one push at a time: how many of the N are not too stale, and their place in the
   sequence of updates, by which `train_steps` grows at once;
2. is applied by all servers at the same time, each to its own shard, while other pushes are;
3. then counts as applied. A reading's version is the number of updates that count so. What is lost with a worker
   between 1 and 3 would make every later gradient stale, until `settle` counts it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.learning.flat_vector import FlatLayout
from tfdqn.learning.optimizers import create_slots, make_optimizer
from tfdqn.learning.strategies.server_statistics import ServerStatistics
from tfdqn.learning.train_step import moved_target
from tfdqn.storage.arrays import add_prefix, with_prefix


class Read(NamedTuple):
    """What a worker reads."""

    version: tf.Tensor  # int64[]: the number of updates applied when the reading began
    weights: tf.Tensor  # float32[P]
    target_weights: tf.Tensor  # float32[P]
    statistics: tf.Tensor | None  # float32[S], of both networks; None: there are none


class Place(NamedTuple):
    """The place of a push of N gradients in the sequence of updates."""

    staleness: tf.Tensor  # int64[]: the number of updates between the reading and the first of these
    accepted: tf.Tensor  # int64[]: how many of the N, from the first on, are applied; the others are too stale


class _Shard:
    """One parameter server's part of every vector."""

    def __init__(self, weights: tf.Variable, target_weights: tf.Variable, config: Config):
        self.device = weights.device
        self.size = int(weights.shape[0])
        self.weights, self.target_weights = weights, target_weights
        self.optimizer = make_optimizer(config.optimizer)
        with tf.device(self.device):
            self.optimizer.iterations = tf.Variable(0, dtype=tf.int64, trainable=False)
        create_slots(self.optimizer, [weights])
        self.slots = {name: self.optimizer.get_slot(weights, name) for name in self.optimizer.get_slot_names()}
        self._period = config.agent.target_update_period_train_steps
        self._tau = config.agent.target_update_tau

    def apply(self, gradients: tf.Tensor, first: tf.Tensor, accepted: tf.Tensor) -> tf.Tensor:
        """Applies, on this server, the first `accepted` of the gradients float32[N, size], after `first` updates."""

        def one(i: tf.Tensor) -> tuple[tf.Tensor]:
            # Keras's `apply_gradients` would need a strategy's merge call in every update, which a loop can't contain.
            hyperparameters = self.optimizer._prepare([self.weights])
            applied = self.optimizer._resource_apply_dense(gradients[i], self.weights, hyperparameters)
            with tf.control_dependencies([applied]):
                counted = self.optimizer.iterations.assign_add(1, read_value=False)
            with tf.control_dependencies([counted]):
                updated = tf.cond(
                    tf.equal((first + i + 1) % self._period, 0), self._update_target, lambda: tf.constant(False)
                )
            with tf.control_dependencies([updated]):
                return (i + 1,)

        with tf.device(self.device):
            start = tf.constant(0, tf.int64)
            return tf.while_loop(lambda i: i < accepted, one, (start,), parallel_iterations=1)[0]

    def _update_target(self) -> tf.Tensor:
        online, target = self.weights.read_value(), self.target_weights
        moved = moved_target(target, online, self._tau)
        with tf.control_dependencies([target.assign(moved, read_value=False)]):
            return tf.constant(True)


class ShardedVariables:
    """To be made in the scope of a ParameterServerStrategy whose partitioner makes one shard per server.

    `statistics` are running statistics that are read and updated with the weights. They are made outside of that scope,
    which would divide them.
    """

    statistics: ServerStatistics | None = None

    def __init__(self, layout: FlatLayout, config: Config):
        self._layout = layout
        self._max_staleness = config.learner.max_staleness_train_steps
        self._has_target = config.agent.has_target_network
        zeros = tf.zeros([layout.size])
        weights = _shards(tf.Variable(zeros, name="weights"))
        target_weights = _shards(tf.Variable(zeros, trainable=False, name="target_weights"))
        self._shards = [_Shard(*pair, config) for pair in zip(weights, target_weights, strict=True)]
        self.first_device = self._shards[0].device  # the first server's
        with tf.device(self.first_device):
            self._train_steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="train_steps")  # claimed
            self._applied = tf.Variable(0, dtype=tf.int64, trainable=False, name="applied")
            self._turns = tf.CriticalSection(name="turns")  # of pushes, one at a time

    def read(self) -> Read:
        """In a worker's graph: reads everything, but first the number of updates.

        That doesn't count updates that are still being applied, so that staleness is never understated.
        """
        version = self._applied.read_value()
        with tf.control_dependencies([version]):
            weights = [shard.weights.read_value() for shard in self._shards]
            target_weights = [shard.target_weights.read_value() for shard in self._shards]
            statistics = None if self.statistics is None else self.statistics.read()
        return Read(version, tf.concat(weights, 0), tf.concat(target_weights, 0), statistics)

    def apply(self, gradients: tf.Tensor, version: tf.Tensor, moments: tf.Tensor | None = None) -> Place:
        """In a worker's graph: applies the gradients float32[N, P] that were computed at `version`.

        `moments`, float32[N, S], are those of the batches, if there are statistics.
        """
        # Without these dependencies it would claim its turn as soon as the graph runs, before the gradients are there.
        with tf.control_dependencies([gradients] if moments is None else [gradients, moments]):
            first, accepted = self._claim_turn(gradients.shape[0], version)
        parts = tf.split(gradients, [shard.size for shard in self._shards], axis=1)
        applied = [shard.apply(part, first, accepted) for shard, part in zip(self._shards, parts, strict=True)]
        if self.statistics is not None:
            applied.append(self.statistics.add(moments, accepted))
        with tf.device(self.first_device), tf.control_dependencies(applied):
            counted = self._applied.assign_add(accepted, read_value=False)
        with tf.control_dependencies([counted]):
            return Place(tf.identity(first - version), tf.identity(accepted))

    def _claim_turn(self, count: int, version: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The number of updates before the first of `count` gradients, and how many of these are accepted."""

        def claim() -> tuple[tf.Tensor, tf.Tensor]:
            first = self._train_steps.read_value()
            accepted = tf.constant(count, tf.int64)
            if self._max_staleness:
                accepted = tf.clip_by_value(self._max_staleness - (first - version) + 1, 0, count)
            with tf.control_dependencies([first]):
                counted = self._train_steps.assign_add(accepted, read_value=False)
            with tf.control_dependencies([counted]):
                return tf.identity(first), tf.identity(accepted)

        with tf.device(self.first_device):
            return self._turns.execute(claim)

    def settle(self) -> None:
        """Counts as applied what was lost with a worker after its turn. No update may be under way."""
        self._applied.assign(self._train_steps)

    def weights(self) -> dict[str, np.ndarray]:
        """The online network's weights, by canonical name."""
        counted = {} if self.statistics is None else self.statistics.weights()
        return counted | self._named([shard.weights for shard in self._shards])

    def state(self) -> dict[str, np.ndarray]:
        """The state as of `TrainStep.state`. No update may be under way."""
        first = self._shards[0]
        slots: dict[str, np.ndarray] = {}
        for slot in sorted(first.slots):
            slots |= add_prefix(f"optimizer/{slot}", self._named([shard.slots[slot] for shard in self._shards]))
        targets = self._named([shard.target_weights for shard in self._shards]) if self._has_target else {}
        return {
            "train_steps": self._train_steps.numpy(),
            **({} if self.statistics is None else self.statistics.state()),
            **add_prefix("online", self.weights()),
            **add_prefix("target", targets),
            "optimizer/iterations": first.optimizer.iterations.numpy(),
            **slots,
        }

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        for counter in (self._train_steps, self._applied):
            counter.assign(arrays["train_steps"])
        self._assign([shard.weights for shard in self._shards], arrays, "online")
        if self._has_target:
            self._assign([shard.target_weights for shard in self._shards], arrays, "target")
        if self.statistics is not None:
            self.statistics.load_state(arrays)
        for shard in self._shards:
            shard.optimizer.iterations.assign(arrays["optimizer/iterations"])
        for slot in self._shards[0].slots:
            self._assign([shard.slots[slot] for shard in self._shards], arrays, f"optimizer/{slot}")

    def _named(self, shards: list[tf.Variable]) -> dict[str, np.ndarray]:
        return self._layout.named(np.concatenate([shard.numpy() for shard in shards]))

    def _assign(self, shards: list[tf.Variable], arrays: Mapping[str, np.ndarray], prefix: str) -> None:
        flat = self._layout.flat(with_prefix(prefix, arrays))
        first = 0
        for shard in shards:
            size = int(shard.shape[0])
            shard.assign(flat[first : first + size])
            first += size


def _shards(variable: tf.Variable) -> list[tf.Variable]:
    """The parts of a sharded variable; a variable that isn't sharded is its only part."""
    return list(getattr(variable, "variables", [variable]))
