"""What is said of the user's own functions: where they are, what they take, and what they have returned."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.agents.losses.dqn import dqn
from tfdqn.errors import OwnCodeError
from tfdqn.networks.heads.head import linear
from tfdqn.networks.own_parts import described, is_own, require_function, source_of


def own(a: int, b: int = 0, *, c: int = 0) -> int:
    return a + b + c


@functools.wraps(own)
def decorated(*arguments: int) -> int:
    return own(*arguments)


def test_functions_of_this_package_are_not_the_users_own() -> None:
    assert not is_own(dqn) and not is_own(linear) and not is_own(functools.partial(linear, 1))
    assert is_own(own) and is_own(decorated) and is_own(functools.partial(own, 1)) and is_own(lambda: 0)


def test_a_source_is_a_name_and_a_place() -> None:
    line = own.__code__.co_firstlineno
    for function in (own, functools.partial(own, 1), decorated):
        assert source_of(function) == f"own at {__file__}:{line}"
    assert source_of(len) == "len"


def test_a_function_may_take_more_than_it_is_given_if_that_has_defaults() -> None:
    for function in (own, decorated, print, lambda *arguments: 0):
        require_function(function, "it", "a")
    require_function(own, "it", "a", "b")
    with pytest.raises(OwnCodeError, match=r"it = own at .* takes \(a, b=0, \*, c=0\), where \(a, b, c\) is due"):
        require_function(own, "it", "a", "b", "c")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (tf.zeros([2, 3]), "float32[2, 3]"),
        (tf.TensorSpec([None, 3], tf.int32), "int32[?, 3]"),
        (tf.TensorSpec(None, tf.int32), "int32[…]"),
        (np.zeros(2), "a NumPy array float64[2]"),
        ([1], "list"),
        (None, "NoneType"),
    ],
)
def test_a_value_is_described_by_its_type_and_shape(value: object, said: str) -> None:
    assert described(value) == said
