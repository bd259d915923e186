"""Checks of what a user's module registers, and of functions that are given to `train` and `evaluate`.

Every mistake is an OwnCodeError, one line that names its place. What a module registers is checked when the module is
imported.
"""

import inspect
from functools import partial
from typing import Any

from tfdqn.errors import OwnCodeError, of_type

_PACKAGE = __name__.partition(".")[0]


def is_own(function: Any) -> bool:
    """Whether a function or class was written by the user, rather than being one of this package."""
    module = str(getattr(_inner(function), "__module__", ""))
    return module.partition(".")[0] != _PACKAGE


def source_of(function: Any) -> str:
    """A function or class, and where it is written: "hl_gauss at /home/me/my_algorithm.py:33"."""
    function = _inner(function)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        return f"{name} at {inspect.getsourcefile(function)}:{inspect.getsourcelines(function)[1]}"
    except (TypeError, OSError):  # it isn't written in Python, or its file is gone
        return name


def own_among(*functions: Any) -> str:
    """The sources of those that are the user's own; empty if none is."""
    return " and ".join(source_of(each) for each in functions if each is not None and is_own(each))


def require_name(name: Any, where: str) -> None:
    """Raises OwnCodeError unless a configuration can name it: text without "/" and ":"; `where` registers it."""
    if not isinstance(name, str):
        raise OwnCodeError(f"{where}: the name is {of_type(name)}; expected text")
    if not name or "/" in name or ":" in name:
        raise OwnCodeError(f'{where}: the name is "{name}"; expected text without "/" and ":"')


def require_function(function: Any, where: str, *parameters: str) -> None:
    """Raises OwnCodeError unless `function` can be called with these arguments by position; `where` names it."""
    due = f"({', '.join(parameters)})"
    if not callable(function):
        raise OwnCodeError(f"{where} = {function!r}; expected a function of {due}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # it isn't written in Python
        return
    try:
        signature.bind(*parameters)
    except TypeError:
        names = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
        taken = signature.replace(parameters=names, return_annotation=signature.empty)
        raise OwnCodeError(f"{where} = {source_of(function)} takes {taken}; expected {due}") from None


def require_instance(value: Any, due: type, where: str) -> None:
    """Raises OwnCodeError unless what is registered is of the type `due`; `where` names it."""
    if not isinstance(value, due):
        found = source_of(value) if callable(value) else repr(value)
        raise OwnCodeError(f"{where} = {found}; expected a {due.__name__}")


def _inner(function: Any) -> Any:
    """The function inside of `functools.partial` and of decorators."""
    while isinstance(function, partial):
        function = function.func
    return inspect.unwrap(function) if callable(function) else function
