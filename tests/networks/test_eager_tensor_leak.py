"""Tensors and the points of curves leave no memory behind."""

import gc
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.commands import PROJECT
from tests.support.policies import network_of, task
from tests.support.tiny_runs import tiny
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.exporting.saved_model import export_policy
from tfdqn.networks.eager_tensor_leak import _slot, mend_eager_tensors
from tfdqn.networks.factory import weight_specs
from tfdqn.serving.model import Model
from tfdqn.tracking.tensorboard import TensorBoard
from tfdqn.tracking.tracker import Point

_TIMES = 2_000
_TRIPLE = tf.constant([1.0, 2.0, 3.0])
_VARIABLE = tf.Variable(_TRIPLE)
_EagerTensor = type(_TRIPLE)


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
    mend_eager_tensors()
    assert blocks_left_by(make_work()) < _TIMES / 10


def is_mended() -> bool:
    return _slot(_EagerTensor).value != _slot(object).value


@pytest.fixture
def unmended() -> Iterator[None]:
    """TensorFlow as it comes, until the test ends."""
    slot, before = _slot(_EagerTensor), _slot(_EagerTensor).value
    slot.value = _slot(object).value
    yield
    slot.value = before


def test_no_import_changes_tensorflow() -> None:
    modules = ("exporting.loaded_policy", "serving.model", "training.train")
    imports = "".join(f"import tfdqn.{each}\n" for each in modules)
    check = "from tests.networks.test_eager_tensor_leak import is_mended\nassert not is_mended()"
    subprocess.run([sys.executable, "-c", imports + check], cwd=PROJECT, timeout=240, check=True)


def test_what_makes_many_tensors_mends_them(unmended: None, tmp_path: Path) -> None:
    path = export_policy(task(), network_of(task()), tmp_path, {})
    for work in (lambda: load_policy(path), lambda: Model(path, 1), lambda: weight_specs(tiny(), task())):
        _slot(_EagerTensor).value = _slot(object).value
        work()
        assert is_mended()


def test_a_policy_can_be_loaded_without_a_change_of_tensorflow(unmended: None, tmp_path: Path) -> None:
    path = export_policy(task(), network_of(task()), tmp_path, {})
    _slot(_EagerTensor).value = _slot(object).value  # `network_of` has changed it
    policy = load_policy(path, mends_tensorflow=False)
    assert policy(np.zeros(4, np.float32)) in (0, 1, 2)
    assert not is_mended()


def test_a_tensor_has_attributes_as_ever() -> None:
    mend_eager_tensors()
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
    mend_eager_tensors()
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
