"""`InGraphPriorities`: the priorities of a ring of rows in the graph, and what is drawn by them."""

import threading
from collections.abc import Callable, Mapping

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
        self._uses_xla = config.learner.xla != "off"
        self._tree = SumTree(capacity, self._uses_xla)
        self._scale = PriorityScale(config.priorities)
        self._last = np.zeros(capacity, np.int32)  # of each row in an update: where its last priority stands
        self._inserted = tf.Variable(0, dtype=tf.int64, trainable=False)  # leaves ever written for new rows
        self._summed = tf.Variable(0, dtype=tf.int64, trainable=False)  # of these, in the tree's sums

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

    def draw(self, fractions: Callable[[], tf.Tensor]) -> tuple[tf.Tensor, Draw]:
        """In the graph: the positions, int32[N], in which fractions of the total lie.

        Args:
          fractions: gives them, float64[N] in [0, 1); XLA compiles it with the draw.
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
        """Sets them; of several for one row, the last."""
        values, keys = self._scale(priorities.errors) ** self._exponent, priorities.keys[:, 0]
        with self._lock:
            is_stored = keys >= int(self._inserted.numpy()) - self._capacity
            positions, order = keys[is_stored] % self._capacity, np.arange(np.count_nonzero(is_stored))
            self._last[positions] = order  # of several NumPy keeps the last
            is_last = self._last[positions] == order
            positions = positions[is_last]
            self._tree.write(positions, values[is_stored][is_last])
        self._tree.refresh(positions)

    def stored(self, rows: int) -> np.ndarray:
        """Of the first so many positions, float64[rows]: p^alpha."""
        return self._tree.leaves(rows)

    def restore(self, stored: np.ndarray, inserted: int) -> None:
        """Restores what `stored` returned."""
        self._tree.load(stored)
        self._inserted.assign(inserted)
        self._summed.assign(inserted)

    def state(self) -> dict[str, np.ndarray]:
        """What is no row's."""
        return {"largest_priority": np.array(self._scale.largest)}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""
        self._scale.raise_to(float(arrays["largest_priority"]))

    def _sum_up(self, inserted: tf.Tensor) -> tf.Tensor:
        """In the graph: takes all rows but the first `_summed` into the sums."""
        count = tf.minimum(inserted - self._summed, self._capacity)
        self._tree.refresh_from((inserted - count) % self._capacity, count)
        self._summed.assign(inserted)
        return tf.constant(True)
