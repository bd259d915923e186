"""What is said of the user's own functions and names: where they are, what they take, and what is due."""

import functools

import pytest

from tfdqn.agents.losses.dqn import dqn
from tfdqn.config.own_code import is_own, require_function, require_name, source_of
from tfdqn.errors import OwnCodeError
from tfdqn.networks.heads.head import linear


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
    with pytest.raises(OwnCodeError, match=r"it = own at .* takes \(a, b=0, \*, c=0\); expected \(a, b, c\)"):
        require_function(own, "it", "a", "b", "c")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (3, "the name is of type int; expected text"),
        (None, "the name is None; expected text"),
        ("", 'the name is ""; expected text without "/" and ":"'),
        ("a/b", 'the name is "a/b"; expected text without "/" and ":"'),
        ("a:b", 'the name is "a:b"; expected text without "/" and ":"'),
    ],
)
def test_a_name_is_text_that_a_configuration_can_have(name: object, said: str) -> None:
    require_name("my-suite 2", "register_suite")
    with pytest.raises(OwnCodeError) as caught:
        require_name(name, "register_suite")
    assert str(caught.value) == f"register_suite: {said}"
