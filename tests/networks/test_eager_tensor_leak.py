"""Tensors and the points of curves leave no memory behind."""

import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.tracking.tensorboard import TensorBoard
from tfdqn.tracking.tracker import Point

_TIMES = 2_000
_TRIPLE = tf.constant([1.0, 2.0, 3.0])
_VARIABLE = tf.Variable(_TRIPLE)


def blocks_left_by(work: Callable[[], object]) -> int:
    """Python's blocks of memory that so many calls of it leave behind."""
    for _ in range(500):
        work()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(_TIMES):
        work()
    gc.collect()
    return sys.getallocatedblocks() - before


def a_function() -> Callable[[], object]:
    doubled = tf.function(lambda x: (2 * x, x + 1), autograph=False)
    return lambda: doubled(_TRIPLE)


@pytest.mark.parametrize(
    "make_work",
    [
        lambda: lambda: tf.convert_to_tensor(np.zeros(3)),
        lambda: lambda: _TRIPLE + _TRIPLE,
        a_function,
        lambda: lambda: _VARIABLE.assign(_TRIPLE),
    ],
    ids=["made of an array", "computed", "of a function", "assigned"],
)
def test_a_tensor_that_is_gone_leaves_nothing(make_work: Callable[[], Callable[[], object]]) -> None:
    assert blocks_left_by(make_work()) < _TIMES / 10


def test_a_tensor_has_attributes_as_ever() -> None:
    tensor = tf.constant([1.0, 2.0])
    assert not hasattr(tensor, "a_name")
    tensor.a_name = "set"
    assert tensor.a_name == "set"
    del tensor.a_name
    assert not hasattr(tensor, "a_name")
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        total = tf.reduce_sum(tensor**2)
    np.testing.assert_array_equal(tape.gradient(total, tensor), [2.0, 4.0])


def anonymous_bytes() -> int:
    (found,) = re.findall(r"^Anonymous:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    return 1024 * int(found)


@pytest.mark.long  # of tensors by themselves: above
def test_points_of_curves_leave_no_memory_behind(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)

    def points(first: int, count: int) -> None:
        for step in range(first, first + count):
            board.scalars({f"a/{i}": step + i / 16 for i in range(16)}, Point(step, 0, 0.0))
            board.histogram("b", np.arange(20) + step, Point(step, 0, 0.0))

    points(0, 100)
    before = anonymous_bytes()
    points(100, 400)
    assert anonymous_bytes() - before < 1_000_000  # 6 MB where TensorFlow keeps the numbers
    board.close()
