"""Checks of the user's own losses, heads and torsos: every mistake is an OwnCodeError, one line that names its place.

What is registered is checked when the user's module is imported; what a builder returns, and the shapes and dtypes of
what the parts compute, when a network is made or traced. None of it is done in a step.
"""

import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfdqn.errors import OwnCodeError

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


def require_function(function: Any, where: str, *parameters: str) -> None:
    """Raises OwnCodeError unless `function` can be called with these arguments by position; `where` names it."""
    due = f"({', '.join(parameters)})"
    if not callable(function):
        raise OwnCodeError(f"{where} = {function!r}, where a function of {due} is due")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # it isn't written in Python
        return
    try:
        signature.bind(*parameters)
    except TypeError:
        names = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
        taken = signature.replace(parameters=names, return_annotation=signature.empty)
        raise OwnCodeError(f"{where} = {source_of(function)} takes {taken}, where {due} is due") from None


def fits(value: Any, shape: Sequence[int | None], dtype: tf.DType = tf.float32) -> bool:
    """Whether this is a tensor float32, or of `dtype`, of this shape, as far as that is known; None: any size."""
    if not isinstance(value, tf.Tensor):
        return False
    return value.dtype in (tf.float32, dtype) and value.shape.is_compatible_with(shape)


def misfit(what: str, value: Any, shape: Sequence[int | None], why: str = "") -> OwnCodeError:
    """The error for a value that does not `fits`: `what` it is, which value it has, and `why` another is due."""
    return OwnCodeError(f"{what} {described(value)}, where {described(tf.TensorSpec(shape, tf.float32))} is due{why}")


def described(value: Any) -> str:
    """A tensor's or an array's type and shape, such as "float32[128, 2]"; for anything else the name of its type."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        return type(value).__name__
    name = f"{'a NumPy array ' if isinstance(value, np.ndarray) else ''}{getattr(dtype, 'name', dtype)}"
    if isinstance(shape, tf.TensorShape) and shape.rank is None:
        return f"{name}[…]"
    return f"{name}[{', '.join('?' if size is None else str(size) for size in shape)}]"


def require_instance(value: Any, due: type, where: str) -> None:
    """Raises OwnCodeError unless what is registered is of the type `due`; `where` names it."""
    if not isinstance(value, due):
        found = source_of(value) if callable(value) else repr(value)
        raise OwnCodeError(f"{where} = {found}, where a {due.__name__} is due")


def require_made(value: Any, due: type, source: str) -> None:
    """Raises OwnCodeError unless what the builder `source` has returned is of the type `due`."""
    if not isinstance(value, due):
        raise OwnCodeError(f"{source} gives {described(value)}, where a {due.__name__} is due")


def _inner(function: Any) -> Any:
    """The function inside of `functools.partial` and of decorators."""
    while isinstance(function, partial):
        function = function.func
    return inspect.unwrap(function) if callable(function) else function
