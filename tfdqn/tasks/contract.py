"""What a task's environments owe at every step (form, types, shapes, bounds, finite numbers), checked on whole batches.

`checked_env` holds each environment to it before gymnasium batches what they gave; what is left to be seen of the
batch, and all that a task's own vector version owes, is checked here.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space, spaces

from tfdqn.errors import FaultyTaskError, NotFiniteTaskError
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.observations import leaves, show
from tfdqn.types import Observation

log = logging.getLogger(__name__)

_ROUNDING = 1e-6  # of a bound, by which floats may pass it without a word
_LARGEST_SQUARE = {np.dtype(each): float(np.finfo(each).max) ** 2 for each in ("float16", "float32")}
_STEPS_BETWEEN_LOOKS = 16  # at the bounds of floats, of which there is but a warning
_warned: set[tuple[str, str]] = set()  # (task, what): once in a process, however often the task is made


class Breach(Exception):
    """A promise broken: of what, how, and by which element of its array, if by one."""

    def __init__(self, what: str, how: str, index: Sequence[int] = (), kind: type[FaultyTaskError] = FaultyTaskError):
        super().__init__(f"{what} {how}")
        self.what, self.how, self.index, self.kind = what, how, tuple(map(int, index)), kind

    def error(self, task_id: str, step: int, environment: int | None = None) -> FaultyTaskError:
        """The one line; `environment` None: the array is a batch's, and its first axis counts environments."""
        index = self.index
        if environment is None and index:
            environment, index = index[0], index[1:]
        where = task_id if environment is None else f"{task_id}, environment {environment}"
        when = f"step {step}" if step else "reset"
        element = f"[{', '.join(map(str, index))}]" if index else ""
        return self.kind(f"{where}, {when}: {self.what}{element} {self.how}")


class Promise:
    """One array, as its space promises it.

    Args:
      what: it is called in errors.
      space: of one environment's array: any but Dict and Tuple.
      leading: axes before the space's own.
    """

    def __init__(self, what: str, space: Space[Any], leading: tuple[int, ...] = ()):
        self.what = what
        self._space = space
        self._dtype = np.dtype(space.dtype)
        self._shape = (*leading, *(space.shape or ()))
        self._low, self._high = _bounds(space)
        self._is_float = self._dtype.kind == "f"
        self._is_uniform = np.ndim(self._low) == np.ndim(self._high) == 0
        # Where every number of its type lies in a space, as in most images of bytes, there is nothing to check.
        is_whole = not self._is_float and self._is_uniform and (self._low, self._high) == _limits(self._dtype)
        self._is_bounded = not self._is_float and not is_whole
        self._may_warn = self._is_float and bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())

    def array(self, value: Any) -> np.ndarray:
        """A fresh array of the space's shape and type: environments write into theirs again. Raises Breach."""
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
        return cast(array, self._dtype, self.what)

    def check(self, array: np.ndarray, task_id: str, step: int) -> None:
        """Raises Breach if a batch that `array` gave holds what its space does not, or is not finite.

        Floats beyond their bounds are warned of once: many environments overstep theirs by a little.
        """
        if self._is_float:
            if not is_finite(array):
                index = _first(~np.isfinite(array))
                raise Breach(self.what, f"is {array[index]}, which is not finite", index, NotFiniteTaskError)
            if self._may_warn and step % _STEPS_BETWEEN_LOOKS == 1 and self._is_outside(array):
                self._warn(array, task_id, step)
        elif self._is_bounded and self._is_outside(array):
            index = _first((array < self._low) | (array > self._high))
            raise Breach(self.what, f"is {array[index]}; its space is {show(self._space)}", index)

    def _is_outside(self, array: np.ndarray) -> bool:
        if self._is_uniform:
            return bool(array.min() < self._low or array.max() > self._high)
        return bool(((array < self._low) | (array > self._high)).any())

    def _warn(self, array: np.ndarray, task_id: str, step: int) -> None:
        self._may_warn = False
        if (task_id, self.what) in _warned:
            return
        _warned.add((task_id, self.what))
        index = _first((array < self._low) | (array > self._high))
        how = f"is {array[index]:g}, beyond the bounds of its space {show(self._space)}; it is used as it is"
        log.warning("%s", Breach(self.what, how, index).error(task_id, step))


class _Part(NamedTuple):
    name: str
    path: tuple[Any, ...]  # keys that lead to it
    promise: Promise
    dtype: np.dtype  # of the specification


class Contract:
    """What E environments of a task owe, and its conversion to the arrays of its `TaskSpec`.

    Args:
      space: of one environment's observation, its frames stacked.
      spec: of the task.
      num_envs: E.
    """

    def __init__(self, space: Space[Any], spec: TaskSpec, num_envs: int):
        self._task_id = spec.id
        self._parts = [
            _Part(name, path, Promise(called(name), leaf, (num_envs,)), np.dtype(spec.observation[name].dtype))
            for name, path, leaf in leaves(space)
        ]
        number, flag = spaces.Box(-np.inf, np.inf, ()), spaces.Box(0, 1, (), dtype=np.bool_)  # type: ignore[arg-type]
        self._reward = Promise("reward", number, (num_envs,))
        self._terminated = Promise("terminated", flag, (num_envs,))
        self._truncated = Promise("truncated", flag, (num_envs,))

    def reset(self, answer: Any) -> tuple[Observation, Mapping[str, Any]]:
        """(observation, info) as a vector environment's `reset` gave them; raises FaultyTaskError."""
        try:
            raw, info = unpacked("reset", answer, ("observation", "info"))
            return self._observation(raw, 0), info
        except Breach as breach:
            raise breach.error(self._task_id, 0) from None

    def step(self, answer: Any, step: int) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, Mapping[str, Any]]:
        """(observation, reward float32[E], terminated bool[E], truncated bool[E], info) of step number `step`.

        Raises FaultyTaskError, of a kind of its own for a number that is not finite. Every array is fresh.
        """
        try:
            raw, reward, terminated, truncated, info = unpacked("step", answer, STEP)
            rewards = self._reward.array(reward)
            self._reward.check(rewards, self._task_id, step)
            return (
                self._observation(raw, step),
                rewards,
                self._terminated.array(terminated),
                self._truncated.array(truncated),
                info,
            )
        except Breach as breach:
            raise breach.error(self._task_id, step) from None

    def _observation(self, raw: Any, step: int) -> Observation:
        flat = {}
        for name, path, promise, dtype in self._parts:
            part = raw
            try:
                for key in path:
                    part = part[key]
            except (TypeError, LookupError):
                raise Breach(promise.what, "is missing") from None
            array = promise.array(part)
            promise.check(array, self._task_id, step)
            flat[name] = array if array.dtype == dtype else cast(array, dtype, promise.what)
        return flat


STEP = ("observation", "reward", "terminated", "truncated", "info")


def unpacked(call: str, answer: Any, parts: tuple[str, ...]) -> tuple[Any, ...]:
    """What a call gave, if it is a tuple of so many parts, a dict the last; raises Breach."""
    if not isinstance(answer, tuple) or len(answer) != len(parts):
        raise Breach(call, f"gave {shown(answer)}, not ({', '.join(parts)})")
    if not isinstance(answer[-1], dict):
        raise Breach(call, f"gave the info {shown(answer[-1])}, not a dict")
    return answer


def is_finite(array: np.ndarray) -> bool:
    """Whether all of it is. A finite sum of squares proves that in one pass; only its overflow needs the exact test."""
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def called(name: str) -> str:
    """A part of an observation, in errors."""
    return name if name == "observation" else f'observation "{name}"'


def cast(array: np.ndarray, dtype: np.dtype, what: str) -> np.ndarray:
    """The same numbers in another type; raises Breach where it can't hold them, or holds no such kind."""
    if array.dtype.kind == "f" and dtype.kind != "f":
        raise Breach(what, f"is {array.dtype} ({shown(array)}), but its space holds {dtype}")
    if dtype.kind == "f":
        if array.dtype.kind == "f" and np.vdot(array, array) < _LARGEST_SQUARE.get(dtype, 0.0):
            return array.astype(dtype)  # a sum of squares proves in one pass that each of them fits
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
    """A value on one line of bounded length, its type where it has many values."""
    if isinstance(value, tuple | list) and not all(isinstance(each, int | float) for each in value):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"{value.dtype} of shape {value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _limits(dtype: np.dtype) -> tuple[int, int]:
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _bounds(space: Any) -> tuple[Any, Any]:
    """Lowest and highest, each one number where all elements are alike, else an array; floats may be rounded."""
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
    bound = np.asarray(bound)
    return bound.flat[0].item() if (bound == bound.flat[0]).all() else bound


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(each) for each in np.argwhere(mask)[0])
