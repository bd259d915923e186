"""`SumTree`: draws indices in proportion to numbers, in the graph (Schaul et al. 2016, appendix B.2.1)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_FAN_OUT = 32
_DENSE = 4096  # without XLA, one search over this many nodes is faster than one for each level
_TINY = np.finfo(np.float64).tiny


class Drawn(NamedTuple):
    """N drawn leaves, int32[N], and the probability of each, float64[N]."""

    leaves: tf.Tensor
    probability: tf.Tensor


class SumTree:
    """A tree whose leaves are numbers float64[size] >= 0; every other node is the sum of its 32 children.

    Each level is float64[rows, 32], starting with the leaves; a node is the sum of one row of the level below. For each
    node the tree also keeps its start: the sum of the nodes before it in its row, or infinity if this node and those
    after it are 0. With 4 children instead of 32:

        total                      10
        level 1, numbers            6         4
                 starts             0         6
        level 0, numbers         1 2 0 3   4 0 0 0
                 starts          0 1 3 3   0 ∞ ∞ ∞

    A draw at 7.5 of 10 goes to the last node of level 1 that starts at 7.5 or before, with a rest of 1.5, and so on.

    `write` changes only the leaves; `refresh` updates starts and sums. These are always computed from
    all their terms, in order: rounding errors don't accumulate, and the same writes give the same tree, bit for bit.
    `uses_xla` says that XLA will compile `draw`, which is faster and draws the same.
    """

    def __init__(self, size: int, uses_xla: bool):
        self._numbers: list[tf.Variable] = []
        self._starts: list[tf.Variable] = []
        self._total = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._uses_xla = uses_xla
        nodes = size
        while not self._numbers or nodes > 1:
            nodes = -(-nodes // _FAN_OUT)
            for variables in (self._numbers, self._starts):
                variables.append(tf.Variable(tf.zeros([nodes, _FAN_OUT], tf.float64), trainable=False))
        self._rows = [int(level.shape[0]) for level in self._numbers]
        signature = [[tf.TensorSpec([None], tf.int64)] * len(self._rows)]
        self._sum_up_now = tf.function(self._sum_up, input_signature=signature, autograph=False)

    def leaves(self, count: int) -> np.ndarray:
        """The first `count` leaves, float64[count]."""
        return self._numbers[0].numpy().reshape(-1)[:count]

    def load(self, leaves: np.ndarray) -> None:
        """Sets the first N leaves to `leaves`, float64[N], and all others to 0."""
        rows = np.zeros(self._numbers[0].shape)
        rows.reshape(-1)[: len(leaves)] = leaves
        self._numbers[0].assign(rows)
        self._sum_up_now([np.arange(count) for count in self._rows])

    def write(self, leaves: np.ndarray, values: np.ndarray) -> None:
        """Sets the leaves with indices int64[N], which must be distinct; sums and starts change when refreshed.

        Uses a raw op, which takes any N without retracing.
        """
        places = np.stack(np.divmod(leaves, _FAN_OUT), axis=1)
        tf.raw_ops.ResourceScatterNdUpdate(ref=self._numbers[0].handle, indices=places, updates=values)

    def refresh(self, leaves: np.ndarray) -> None:
        """Updates the starts and sums above the leaves with indices int64[N]."""
        if not len(leaves):
            return
        changed, nodes = [], leaves
        for rows in self._rows:
            nodes = nodes // _FAN_OUT if len(nodes) < rows else np.arange(rows)
            changed.append(nodes)
        self._sum_up_now(changed)

    def refresh_from(self, first: tf.Tensor, count: tf.Tensor) -> None:
        """In the graph: updates starts and sums above `count` leaves from `first` on, wrapping around; both int64[]."""
        changed = []
        for rows in self._rows:
            # The range may begin, wrap around and end within a row.
            first, count = first // _FAN_OUT, tf.minimum(count // _FAN_OUT + 3, rows)
            changed.append((first + tf.range(count)) % rows)
        self._sum_up(changed)

    def draw(self, fractions: tf.Tensor) -> Drawn:
        """In the graph: finds the leaves at the given fractions of the total, float64[N] in [0, 1)."""
        total = self._total.read_value()
        rest, nodes, level = fractions * total, tf.zeros_like(fractions, tf.int32), len(self._rows)
        if not self._uses_xla:
            level = next(k for k, rows in enumerate(self._rows) if rows * _FAN_OUT <= _DENSE)
            rest, nodes = self._search(level, rest)
        for starts in reversed(self._starts[:level]):
            nodes = nodes * _FAN_OUT + self._children(starts.sparse_read(nodes), rest)
            rest -= self._at(starts, nodes)
        return Drawn(nodes, self._at(self._numbers[0], nodes) / total)

    def _sum_up(self, changed: Sequence[tf.Tensor]) -> None:
        """Recomputes the starts of the `changed` rows, int64[M] for each level, and their sums in the level above."""
        for level, (rows, numbers, starts) in enumerate(zip(changed, self._numbers, self._starts, strict=True)):
            terms = numbers.sparse_read(rows)
            before = tf.cumsum(terms, axis=1, exclusive=True)
            sums = before[:, -1] + terms[:, -1]
            # Rounding must not make a draw end in a node that is 0.
            has_more = before < tf.maximum(sums[:, tf.newaxis], _TINY)
            starts.scatter_update(tf.IndexedSlices(tf.where(has_more, before, np.inf), rows))
            if level + 1 < len(self._rows):
                places = tf.stack([rows // _FAN_OUT, rows % _FAN_OUT], axis=1)
                self._numbers[level + 1].scatter_nd_update(places, sums)
            else:
                self._total.assign(sums[0])

    def _search(self, level: int, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds, in one search over a level, the nodes int32[N] in which sums, float64[N], fall.

        Returns the rest of each sum within its node, and the nodes.
        """
        numbers = tf.reshape(self._numbers[level].read_value(), [-1])
        starts = tf.cumsum(numbers, exclusive=True)
        starts = tf.where(starts < starts[-1] + numbers[-1], starts, np.inf)
        nodes = tf.raw_ops.UpperBound(sorted_inputs=starts[tf.newaxis], values=sums[tf.newaxis])[0] - 1
        return sums - tf.gather(starts, nodes), nodes

    def _children(self, starts: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
        """The child, int32[N], in which each sum falls: the last of its row whose start is not larger."""
        if self._uses_xla:
            return tf.reduce_sum(tf.cast(starts <= sums[:, tf.newaxis], tf.int32), axis=1) - 1
        return tf.raw_ops.UpperBound(sorted_inputs=starts, values=sums[:, tf.newaxis])[:, 0] - 1

    def _at(self, level: tf.Variable, nodes: tf.Tensor) -> tf.Tensor:
        """A level's values at nodes int32[N]. Only XLA can read from a variable without copying all of it."""
        if self._uses_xla:
            return tf.gather(tf.reshape(level.read_value(), [-1]), nodes)
        return level.gather_nd(tf.stack([nodes // _FAN_OUT, nodes % _FAN_OUT], axis=1))
