"""Checks of what the user's own losses, heads and torsos give: every mistake is an OwnCodeError of one line.

What is registered is checked by `config.own_code`; what a builder returns, and the shapes and dtypes of what the parts
compute, when a network is made or traced. None of it is done in a step.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfdqn.errors import OwnCodeError


def fits(value: Any, shape: Sequence[int | None], dtype: tf.DType = tf.float32) -> bool:
    """Whether this is a tensor float32, or of `dtype`, of this shape, as far as that is known; None: any size."""
    if not isinstance(value, tf.Tensor):
        return False
    return value.dtype in (tf.float32, dtype) and value.shape.is_compatible_with(shape)


def misfit(what: str, value: Any, shape: Sequence[int | None], why: str = "") -> OwnCodeError:
    """The error for a value that does not `fits`: `what` it is, which value it has, and `why` that is wrong."""
    return OwnCodeError(f"{what} {described(value)}; expected {described(tf.TensorSpec(shape, tf.float32))}{why}")


def described(value: Any) -> str:
    """A tensor's or an array's type and shape, such as "float32[128, 2]"; for anything else the name of its type."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        return type(value).__name__
    name = f"{'a NumPy array ' if isinstance(value, np.ndarray) else ''}{getattr(dtype, 'name', dtype)}"
    if isinstance(shape, tf.TensorShape) and shape.rank is None:
        return f"{name}[…]"
    return f"{name}[{', '.join('?' if size is None else str(size) for size in shape)}]"


def require_made(value: Any, due: type, source: str) -> None:
    """Raises OwnCodeError unless what the builder `source` has returned is of the type `due`."""
    if not isinstance(value, due):
        raise OwnCodeError(f"{source} returned {described(value)}; expected a {due.__name__}")


def own_advice(own: str) -> str:
    """What to do first where a number that the user's own parts have computed isn't finite; "" if `own` is empty."""
    if not own:
        return ""
    return f"it is computed by {own}: check that for divisions by zero, and for logarithms and roots; or "
