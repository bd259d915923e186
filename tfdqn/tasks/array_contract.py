"""`ArrayContract`: checks an array that environments give by its space; `Breach`: how it is wrong."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from tfdqn.errors import FaultyTaskError, NotFiniteTaskError, shortened
from tfdqn.tasks.observations import show
from tfdqn.tasks.warnings import warn_once

_ROUNDING = 1e-6  # the part of a bound by which floats may exceed it without a warning
_LARGEST_SQUARE = {np.dtype(each): float(np.finfo(each).max) ** 2 for each in ("float16", "float32")}
_STEPS_BETWEEN_BOUND_CHECKS = 16  # of floats, which lead to no more than a warning
_MOST_UNCHECKED_BYTES = 2**20  # of an array's steps that are kept for such a check; others are left out
CONVERSIONS = "tfdqn.tasks.conversions"  # the logger of arrays of another dtype, for debugging


class Breach(Exception):
    """A broken contract: `what`, an array or a call, `how` it is wrong, and the `index` of the wrong element, if any.

    `kind` is the class of the error that `error` makes.
    """

    def __init__(self, what: str, how: str, index: Sequence[int] = (), kind: type[FaultyTaskError] = FaultyTaskError):
        super().__init__(f"{what} {how}")
        self.what, self.how, self.index, self.kind = what, how, tuple(map(int, index)), kind

    def error(self, task_id: str, step: int, environment: int | None = None) -> FaultyTaskError:
        """The error to raise, a line with the task, the environment and the step, of which 0 is the reset.

        `environment` is its index; None: the array is a batch, and the first number of `index` is the environment's.
        """
        index = self.index
        if environment is None and index:
            environment, index = index[0], index[1:]
        element = f"[{', '.join(map(str, index))}]" if index else ""
        return self.kind(f"{place(task_id, step, environment)}: {self.what}{element} {self.how}")


class ArrayContract:
    """What an array's space promises: checks arrays by it, and converts them.

    Args:
      what: the array's name in errors.
      space: of one environment's array; not a Dict or a Tuple.
      leading: the axes before the space's own, such as (E,) for a batch.
      is_observed: whether it is of an observation, whose first conversion to a Box's dtype is logged.
    """

    def __init__(self, what: str, space: Space[Any], leading: tuple[int, ...] = (), is_observed: bool = False):
        self.what = what
        self._logs_conversion = is_observed and isinstance(space, spaces.Box)
        self._space = space
        self._dtype = np.dtype(space.dtype)
        self._shape = (*leading, *(space.shape or ()))
        self._low, self._high = _bounds(space)
        self._is_float = self._dtype.kind == "f"
        self._is_uniform = np.ndim(self._low) == np.ndim(self._high) == 0
        # If every number of the dtype lies in the space, as in most images of bytes, there is nothing to check.
        is_whole = not self._is_float and self._is_uniform and (self._low, self._high) == _limits(self._dtype)
        self._is_bounded = not self._is_float and not is_whole
        self._unchecked: list[tuple[int, np.ndarray]] = []  # steps whose floats were not yet compared with their bounds
        self._may_warn = self._is_float and bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())

    def array(self, value: Any) -> np.ndarray:
        """`value` as a fresh array of the space's shape and dtype, since environments may reuse theirs.

        Raises Breach if it has another shape, or numbers of a kind that the dtype can't hold.
        """
        try:
            array = np.array(value)
        except (TypeError, ValueError):
            raise Breach(self.what, f"is not an array: {shown(value)}") from None
        if array.dtype == self._dtype and array.shape == self._shape:
            return array
        if array.dtype.kind not in "biuf":
            raise Breach(self.what, f"is {shown(value)}; its space is {show(self._space)}")
        if array.shape != self._shape:
            raise Breach(self.what, f"has shape {array.shape}, but its space says {self._shape}")
        if self._logs_conversion and isinstance(value, np.ndarray | np.generic):
            self._logs_conversion = False  # at every step, it would take longer than the conversion
            line = "%s is %s, and is converted to %s, as its Box says"
            logging.getLogger(CONVERSIONS).debug(line, self.what, array.dtype, self._dtype)
        return cast(array, self._dtype, self.what)

    def check(self, array: np.ndarray, task_id: str, step: int) -> None:
        """Raises Breach if a batch that `array` returned has a value outside the space, or one that is not finite.

        Floats beyond their bounds only cause a warning, once, since many environments exceed theirs by a little. They
        are looked at every few steps, all together, and the warning names the first step: `array` must not be changed.
        Of large arrays only the step of each look counts.
        """
        if self._is_float:
            if not is_finite(array):
                index = _first(~np.isfinite(array))
                raise Breach(self.what, f"is {array[index]}, which is not finite", index, NotFiniteTaskError)
            if self._may_warn:
                is_due = step % _STEPS_BETWEEN_BOUND_CHECKS == 1
                if is_due or _STEPS_BETWEEN_BOUND_CHECKS * array.nbytes <= _MOST_UNCHECKED_BYTES:
                    self._unchecked.append((step, array))
                if is_due:
                    self._check_bounds(task_id)
        elif self._is_bounded and self._is_outside(array):
            index = _first((array < self._low) | (array > self._high))
            raise Breach(self.what, f"is {array[index]}; its space is {show(self._space)}", index)

    def _is_outside(self, array: np.ndarray) -> bool:
        if self._is_uniform:
            return bool(array.min() < self._low or array.max() > self._high)
        return bool(((array < self._low) | (array > self._high)).any())

    def _check_bounds(self, task_id: str) -> None:
        """Warns of the first step, of those not yet checked, at which a float is beyond its bounds."""
        unchecked, self._unchecked = self._unchecked, []
        if not self._is_outside(np.stack([array for _, array in unchecked])):
            return
        self._may_warn = False
        step, array = next((step, array) for step, array in unchecked if self._is_outside(array))
        index = _first((array < self._low) | (array > self._high))
        how = f"is {array[index]:g}, beyond the bounds of its space {show(self._space)}; it is used as it is"
        warn_once(str(Breach(self.what, how, index).error(task_id, step)), task_id, self.what)


def place(task_id: str, step: int, environment: int | None = None) -> str:
    """Where something was found, for errors: "Catch-v0, environment 3, step 12".

    Step 0 is the reset. `environment` is its index; None: all, or not known.
    """
    where = task_id if environment is None else f"{task_id}, environment {environment}"
    return f"{where}, {f'step {step}' if step else 'reset'}"


def is_finite(array: np.ndarray) -> bool:
    """Whether every element is finite: a finite sum of squares proves it in one pass, else each one is tested."""
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def called(name: str) -> str:
    """The name of a part of an observation in errors."""
    return name if name == "observation" else f'observation "{name}"'


def cast(array: np.ndarray, dtype: np.dtype, what: str) -> np.ndarray:
    """Converts an array to another dtype.

    Raises Breach if the dtype can't hold one of the numbers, or if the array has floats and the dtype none.
    """
    if array.dtype.kind == "f" and dtype.kind != "f":
        raise Breach(what, f"is {array.dtype} ({shown(array)}), but its space holds {dtype}")
    if dtype.kind == "f":
        if array.dtype.kind == "f" and np.vdot(array, array) < _LARGEST_SQUARE.get(dtype, 0.0):
            return array.astype(dtype)  # the sum of squares proves in one pass that every number fits
        try:
            with np.errstate(over="raise"):
                return array.astype(dtype)
        except FloatingPointError:
            with np.errstate(over="ignore"):
                index = _first(np.isinf(array.astype(dtype)) & np.isfinite(array))
            raise Breach(
                what, f"is {array[index]:g}, which is not finite in {dtype}", index, NotFiniteTaskError
            ) from None
    low, high = _limits(dtype)
    if array.min() < low or array.max() > high:
        index = _first((array < low) | (array > high))
        raise Breach(what, f"is {array[index]}, but its space holds {dtype}", index)
    return array.astype(dtype)


def shown(value: Any) -> str:
    """A value on one line of at most 60 characters; a large array or a list of objects by its type and size."""
    if isinstance(value, tuple | list) and not all(isinstance(each, int | float) for each in value):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"{value.dtype} of shape {value.shape}"
    return shortened(" ".join(repr(value).split()), 60)


def _limits(dtype: np.dtype) -> tuple[int, int]:
    """The lowest and highest number of a dtype of bits or whole numbers."""
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _bounds(space: Any) -> tuple[Any, Any]:
    """A space's lowest and highest values, numbers if all elements are alike, else arrays; floats' with `_ROUNDING`."""
    if isinstance(space, spaces.MultiBinary):
        return 0, 1
    if isinstance(space, spaces.Box):
        low, high = space.low, space.high
        if space.dtype is not None and space.dtype.kind == "f":
            low, high = (bound.astype(np.float64) for bound in (low, high))
            low, high = low - _ROUNDING * np.abs(low), high + _ROUNDING * np.abs(high)
    else:
        count = space.n if isinstance(space, spaces.Discrete) else space.nvec
        low, high = space.start, space.start + count - 1
    return _alike(low), _alike(high)


def _alike(bound: Any) -> Any:
    """One number if all elements are equal, else the array."""
    bound = np.asarray(bound)
    return bound.flat[0].item() if (bound == bound.flat[0]).all() else bound


def _first(mask: np.ndarray) -> tuple[int, ...]:
    """The index of the first true element."""
    return tuple(int(each) for each in np.argwhere(mask)[0])
