"""`InGraphPriorities`: the priorities of a ring of rows in the graph, and what is drawn by them."""

import threading
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.replay.interfaces import Draw, ItemPriorities
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.sum_tree import SumTree


class InGraphPriorities:
    """A leaf p^alpha for each row. A row's key is how many had been inserted before it, so that it is known when it has
    been written over.

    Args:
      config: `priorities`, and whether XLA may be used.
      capacity: rows of the ring.
      lock: held while rows are inserted.
    """

    def __init__(self, config: Config, capacity: int, lock: threading.Lock):
        self._exponent, self._capacity, self._lock = config.priorities.exponent, capacity, lock
        self._tree = SumTree(capacity, uses_xla=config.learner.xla != "off")
        self._scale = PriorityScale(config.priorities)
        self._last = np.zeros(capacity, np.int32)  # of each row in an update: where its last priority stands
        self._inserted = tf.Variable(0, dtype=tf.int64, trainable=False)  # leaves ever written for new rows
        self._summed = tf.Variable(0, dtype=tf.int64, trainable=False)  # of these, in the tree's sums
        signature = [tf.TensorSpec([None], tf.int64)]
        self._refresh = tf.function(self._tree.refresh, input_signature=signature, autograph=False)

    def inserted(self, positions: np.ndarray, inserted: int, errors: np.ndarray | None) -> None:
        """Gives new rows their priorities; the lock is held.

        Args:
          positions: int64[N], each only once.
          inserted: rows ever, these included.
          errors: float32[N] as `PriorityScale` takes them; None: none is known.
        """
        priorities = np.full(len(positions), self._scale.largest) if errors is None else self._scale(errors)
        self._tree.write(positions, priorities**self._exponent)
        self._inserted.assign(np.int64(inserted))

    def draw(self, fractions: tf.Tensor) -> tuple[tf.Tensor, Draw]:
        """In the graph: the positions, int64[N], in which these fractions of the total lie, float64[N] in [0, 1)."""
        inserted = self._inserted.read_value()
        self._tree.refresh(self._newest(inserted - self._summed, inserted))
        with tf.control_dependencies([self._summed.assign(inserted)]):
            drawn = self._tree.draw(fractions)
        keys = inserted - 1 - (inserted - 1 - drawn.leaves) % self._capacity
        return drawn.leaves, Draw(tf.cast(drawn.probability, tf.float32), keys[:, tf.newaxis])

    def update(self, priorities: ItemPriorities) -> None:
        """Sets them; of several for one row, the last."""
        values, keys = self._scale(priorities.errors) ** self._exponent, priorities.keys[:, 0]
        with self._lock:
            is_stored = keys >= int(self._inserted.numpy()) - self._capacity
            positions, order = keys[is_stored] % self._capacity, np.arange(np.count_nonzero(is_stored))
            self._last[positions] = order  # of several NumPy keeps the last
            is_last = self._last[positions] == order
            positions = positions[is_last]
            self._tree.write(positions, values[is_stored][is_last])
        self._refresh(positions)

    def stored(self, rows: int) -> np.ndarray:
        """Of the first so many positions, float64[rows]: p^alpha."""
        return self._tree.leaves(rows)

    def restore(self, stored: np.ndarray, inserted: int) -> None:
        """Puts back what `stored` gave."""
        self._tree.load(stored)
        self._inserted.assign(inserted)
        self._summed.assign(inserted)

    def state(self) -> dict[str, np.ndarray]:
        """What is no row's."""
        return {"largest_priority": np.array(self._scale.largest)}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Puts back what `state` gave."""
        self._scale.raise_to(float(arrays["largest_priority"]))

    def _newest(self, count: tf.Tensor, inserted: tf.Tensor) -> tf.Tensor:
        """The positions of the last so many rows, or of all."""
        return (inserted - 1 - tf.range(tf.minimum(count, self._capacity))) % self._capacity
