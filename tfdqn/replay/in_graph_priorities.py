"""`InGraphPriorities`: the priorities of an in-graph ring of rows; draws rows by them."""

import threading
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.replay.interfaces import Draw, ItemPriorities
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.sum_tree import SumTree


class InGraphPriorities:
    """A sum tree with a leaf p^alpha for each row of the ring.

    A row's key is the number of rows inserted before it, which tells whether it has been overwritten since.

    Args:
      config: its `priorities`, and `learner.xla`.
      capacity: the number of rows in the ring.
      lock: held while rows are inserted.
    """

    def __init__(self, config: Config, capacity: int, lock: threading.Lock):
        self._exponent, self._capacity, self._lock = config.priorities.exponent, capacity, lock
        self._uses_xla = config.learner.xla != "off"
        self._tree = SumTree(capacity, self._uses_xla)
        self._scale = PriorityScale(config.priorities)
        self._last = np.zeros(capacity, np.int32)  # scratch: the index in an update of each row's last priority
        self._inserted = tf.Variable(0, dtype=tf.int64, trainable=False)  # rows ever inserted
        self._summed = tf.Variable(0, dtype=tf.int64, trainable=False)  # how many of these the tree's sums include

    def inserted(self, positions: np.ndarray, inserted: int, errors: np.ndarray | None) -> None:
        """Sets the priorities of new rows. The caller must hold the lock.

        Args:
          positions: int64[N], distinct.
          inserted: the number of rows ever inserted, these included.
          errors: float32[N] as for `PriorityScale`; None: unknown, so that the largest priority is used.
        """
        priorities = np.full(len(positions), self._scale.largest) if errors is None else self._scale(errors)
        self._tree.write(positions, priorities**self._exponent)
        self._inserted.assign(np.int64(inserted))

    def draw(self, fractions: Callable[[], tf.Tensor]) -> tuple[tf.Tensor, Draw]:
        """In the graph: draws N rows; returns their positions int32[N], and their probabilities and keys.

        Args:
          fractions: returns float64[N] in [0, 1), each a fraction of the sum of all leaves; XLA compiles it with the
            draw.
        """
        inserted = self._inserted.read_value()
        tf.cond(inserted > self._summed, lambda: self._sum_up(inserted), lambda: tf.constant(False))

        def draw() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            drawn = self._tree.draw(fractions())
            next_position = inserted % self._capacity
            lap = tf.where(tf.cast(drawn.leaves, tf.int64) < next_position, inserted, inserted - self._capacity)
            keys = lap - next_position + tf.cast(drawn.leaves, tf.int64)
            return drawn.leaves, tf.cast(drawn.probability, tf.float32), keys[:, tf.newaxis]

        positions, probability, keys = tf.function(draw, jit_compile=self._uses_xla, autograph=False)()
        return positions, Draw(probability, keys)

    def update(self, priorities: ItemPriorities) -> None:
        """Sets priorities; of several for one row, the last. Skips rows that have been overwritten."""
        values, keys = self._scale(priorities.errors) ** self._exponent, priorities.keys[:, 0]
        with self._lock:
            is_stored = keys >= int(self._inserted.numpy()) - self._capacity
            positions, order = keys[is_stored] % self._capacity, np.arange(np.count_nonzero(is_stored))
            self._last[positions] = order  # of duplicate positions NumPy keeps the last
            is_last = self._last[positions] == order
            positions = positions[is_last]
            self._tree.write(positions, values[is_stored][is_last])
        self._tree.refresh(positions)

    def stored(self, rows: int) -> np.ndarray:
        """The leaves p^alpha of the first `rows` positions, float64[rows]."""
        return self._tree.leaves(rows)

    def restore(self, stored: np.ndarray, inserted: int) -> None:
        """Restores what `stored` returned."""
        self._tree.load(stored)
        self._inserted.assign(inserted)
        self._summed.assign(inserted)

    def state(self) -> dict[str, np.ndarray]:
        """The largest priority so far; `stored` returns those of the rows."""
        return self._scale.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""
        self._scale.load_state(arrays)

    def _sum_up(self, inserted: tf.Tensor) -> tf.Tensor:
        """In the graph: adds the rows inserted since the last call to the tree's sums."""
        count = tf.minimum(inserted - self._summed, self._capacity)
        self._tree.refresh_from((inserted - count) % self._capacity, count)
        self._summed.assign(inserted)
        return tf.constant(True)
