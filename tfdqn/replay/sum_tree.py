"""`SumTree`: numbers, and draws in proportion to them, in the graph (Schaul et al. 2016, appendix B.2.1)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_DENSE = 4096  # a level of no more nodes is summed whole, and all above it, instead of level by level


class Drawn(NamedTuple):
    """Leaves int64[N], and with what probability float64[N] each was drawn."""

    leaves: tf.Tensor
    probability: tf.Tensor


class SumTree:
    """Numbers float64[size] >= 0 at the leaves of a binary tree, each other node being the sum of its two children.

    Node i has the children 2 i and 2 i + 1; 1 is the root. Writing leaves leaves the sums as they are until `refresh`.
    A sum is always computed from both its terms, never adjusted: no error adds up, and what is written twice is written
    alike, so that the same writes give the same tree bit for bit.

    Args:
      size: number of leaves.
      uses_xla: whether draws are compiled, which is faster; they are the same.
    """

    def __init__(self, size: int, uses_xla: bool):
        self._depth = max(size - 1, 1).bit_length()
        self._first = 1 << self._depth  # leaf
        self._nodes = tf.Variable(tf.zeros([2 * self._first], tf.float64), trainable=False)
        self._uses_xla = uses_xla
        self._descend = tf.function(self._descended, jit_compile=uses_xla, autograph=False)

    def leaves(self, count: int) -> np.ndarray:
        """The first so many, float64[count]."""
        return self._nodes.numpy()[self._first : self._first + count]

    def load(self, leaves: np.ndarray) -> None:
        """Takes float64[N] for the first leaves, and 0 for all others."""
        nodes = np.zeros(self._nodes.shape)
        nodes[self._first : self._first + len(leaves)] = leaves
        for depth in reversed(range(self._depth)):
            level = 1 << depth
            nodes[level : 2 * level] = nodes[2 * level : 4 * level].reshape(-1, 2).sum(axis=1)
        self._nodes.assign(nodes)

    def write(self, leaves: np.ndarray | tf.Tensor, values: np.ndarray | tf.Tensor) -> None:
        """Sets leaves int64[N], each only once; by an operation that takes any N without a trace of its own."""
        tf.raw_ops.ResourceScatterUpdate(resource=self._nodes.handle, indices=self._first + leaves, updates=values)

    def refresh(self, leaves: tf.Tensor) -> None:
        """In the graph: brings the sums over leaves int64[N] up to date."""
        nodes = self._first + leaves
        for depth in reversed(range(self._depth)):
            if 1 << depth <= _DENSE:
                self._sum_all(depth)
                return
            nodes //= 2
            sums = self._nodes.sparse_read(2 * nodes) + self._nodes.sparse_read(2 * nodes + 1)
            self._nodes.scatter_update(tf.IndexedSlices(sums, nodes))

    def draw(self, fractions: tf.Tensor) -> Drawn:
        """In the graph: the leaves in which these fractions of the total, float64[N] in [0, 1), lie."""
        return Drawn(*self._descend(fractions))

    def _sum_all(self, depth: int) -> None:
        """Every node of so many levels from the root."""
        level = 1 << depth
        sums = [self._nodes.sparse_read(tf.range(2 * level, 4 * level))]
        for _ in range(depth + 1):
            sums.append(tf.reduce_sum(tf.reshape(sums[-1], [-1, 2]), axis=1))
        self._nodes.scatter_update(tf.IndexedSlices(tf.concat(sums[:0:-1], axis=0), tf.range(1, 2 * level)))

    def _descended(self, fractions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        read = self._reader()
        total = read(tf.constant(1, tf.int64))

        def walk(looks_right: bool) -> tuple[tf.Tensor, tf.Tensor]:
            left, node = fractions * total, tf.ones_like(fractions, tf.int64)
            for _ in range(self._depth):
                here = read(2 * node)
                goes_right = left >= here
                if looks_right:
                    goes_right &= read(2 * node + 1) > 0
                left = tf.where(goes_right, left - here, left)
                node = 2 * node + tf.cast(goes_right, tf.int64)
            return node, read(node)

        # Rounding, or a leaf written meanwhile, must not lead to where there is nothing. It hardly ever does, and half
        # of what is read is only to see to that.
        node, number = walk(looks_right=False)
        node, number = tf.cond(tf.reduce_all(number > 0), lambda: (node, number), lambda: walk(looks_right=True))
        return node - self._first, number / total

    def _reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Nodes int64[N] → their numbers float64[N]. Only XLA reads a variable without copying it whole."""
        if not self._uses_xla:
            return self._nodes.sparse_read
        nodes = self._nodes.read_value()
        return lambda indices: tf.gather(nodes, indices)
