"""`InGraphPriorities`: the priorities of the rows of `InGraphReplay`, which draws rows by them."""

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

    A row's key is the number of rows inserted before it. Its position in the ring is the key modulo `max_rows`, and the
    key also tells whether the row has been overwritten since. `lock` is held while rows are inserted.
    """

    def __init__(self, config: Config, max_rows: int, lock: threading.Lock):
        self._exponent, self._max_rows, self._lock = config.priorities.exponent, max_rows, lock
        self._uses_xla = config.learner.xla != "off"
        self._tree = SumTree(max_rows, self._uses_xla)
        self._scale = PriorityScale(config.priorities)
        self._last_index = np.zeros(max_rows, np.int32)  # scratch space of `_last_of_each`
        self._inserted = tf.Variable(0, dtype=tf.int64, trainable=False)  # rows ever inserted
        self._summed = tf.Variable(0, dtype=tf.int64, trainable=False)  # how many of these the tree's sums include

    def insert(self, positions: np.ndarray, inserted: int, errors: np.ndarray) -> None:
        """Sets the priorities of new rows. The caller must hold the lock.

        `positions`, int64[N], are distinct; `inserted` is the number of rows ever inserted, these included; `errors`,
        float32[N], are as for `PriorityScale`.
        """
        self._tree.write(positions, self._scale(errors) ** self._exponent)
        self._inserted.assign(np.int64(inserted))

    def draw(self, fractions: Callable[[], tf.Tensor]) -> tuple[tf.Tensor, Draw]:
        """In the graph: draws N rows; returns their positions int32[N], and their probabilities and keys.

        `fractions` returns float64[N] in [0, 1), each a fraction of the sum of all leaves; XLA compiles it with the
        draw.
        """
        inserted = self._inserted.read_value()
        tf.cond(inserted > self._summed, lambda: self._sum_up(inserted), lambda: tf.constant(False))

        def draw() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            drawn = self._tree.draw(fractions())
            positions = tf.cast(drawn.leaves, tf.int64)
            next_position = inserted % self._max_rows
            this_lap = inserted - next_position  # the key of position 0 in the ring's present lap
            keys = positions + tf.where(positions < next_position, this_lap, this_lap - self._max_rows)
            return drawn.leaves, tf.cast(drawn.probability, tf.float32), keys[:, tf.newaxis]

        positions, probability, keys = tf.function(draw, jit_compile=self._uses_xla, autograph=False)()
        return positions, Draw(probability, keys)

    def update(self, priorities: ItemPriorities) -> None:
        """Sets priorities; of several for one row, the last. Skips rows that have been overwritten."""
        values, keys = self._scale(priorities.errors) ** self._exponent, priorities.keys[:, 0]
        with self._lock:
            is_stored = keys >= int(self._inserted.numpy()) - self._max_rows
            values, positions = values[is_stored], keys[is_stored] % self._max_rows
            is_last = self._last_of_each(positions)
            values, positions = values[is_last], positions[is_last]
            self._tree.write(positions, values)
        self._tree.refresh(positions)

    def leaves(self, rows: int) -> np.ndarray:
        """The leaves p^alpha of the first `rows` positions, float64[rows]."""
        return self._tree.leaves(rows)

    def restore(self, leaves: np.ndarray, inserted: int) -> None:
        """Restores what `leaves` returned, when so many rows had been inserted."""
        self._tree.load(leaves)
        self._inserted.assign(inserted)
        self._summed.assign(inserted)

    def state(self) -> dict[str, np.ndarray]:
        """The largest priority so far; `leaves` returns those of the rows."""
        return self._scale.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._scale.load_state(arrays)

    def _last_of_each(self, positions: np.ndarray) -> np.ndarray:
        """Returns bool[N], true where a position, of int64[N], doesn't occur again further on."""
        indices = np.arange(len(positions))
        self._last_index[positions] = indices  # of duplicate positions NumPy keeps the last
        return self._last_index[positions] == indices

    def _sum_up(self, inserted: tf.Tensor) -> tf.Tensor:
        """In the graph: adds the rows inserted since the last call to the tree's sums."""
        count = tf.minimum(inserted - self._summed, self._max_rows)
        self._tree.refresh_from((inserted - count) % self._max_rows, count)
        self._summed.assign(inserted)
        return tf.constant(True)
