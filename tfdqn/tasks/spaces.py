"""gymnasium's spaces, read into the arrays of a `TaskSpec` and into flat dicts of named arrays."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
from gymnasium import Space, spaces

from tfdqn.errors import TaskError
from tfdqn.task_spec import ArraySpec

Observation = dict[str, np.ndarray]  # each [num_envs, …]

ALLOWED_OBSERVATIONS = "allowed are Box, Discrete, MultiDiscrete, MultiBinary, and Dict or Tuple of them"
MAX_CATEGORIES = 1_000_000  # one-hot rows beyond this do not fit any machine's memory as a batch
UNBOUNDED = float(np.finfo(np.float32).max)  # many environments write "no bound" as the largest float
INT32 = np.iinfo(np.int32)


def observation_specs(space: Space[Any], frame_stack: int = 1) -> dict[str, ArraySpec]:
    """One `ArraySpec` per array of `space`, which is the space before frames are stacked.

    Floats of any width become float32; int64, uint32 and uint64 become int32, which must hold their
    bounds. Raises `TaskError` naming the key, the space and what is allowed.
    """
    specs: dict[str, ArraySpec] = {}
    for name, _, leaf in _leaves(space):
        if name in specs:
            _refuse(name, leaf, "another part of the observation has the same flat name; rename one")
        specs[name] = _stacked(_array_spec(name, leaf), frame_stack)
    return specs


def flattener(space: Space[Any], specs: Mapping[str, ArraySpec]) -> Callable[[Any], Observation]:
    """A function from a (batched) observation of `space` to fresh arrays under the names of `specs`."""
    plan = [(name, path, np.dtype(specs[name].dtype)) for name, path, _ in _leaves(space)]
    if len(plan) == 1 and not plan[0][1]:  # the usual case, once per step: nothing to walk
        only, _, only_dtype = plan[0]
        return lambda observation: {only: np.array(observation, only_dtype)}

    def flatten(observation: Any) -> Observation:
        flat = {}
        for name, path, dtype in plan:
            part = observation
            for key in path:
                part = part[key]
            flat[name] = np.array(part, dtype)
        return flat

    return flatten


def discrete_actions(space: Space[Any]) -> tuple[int, int]:
    """(number of actions, first action) of a Discrete space; raises `TaskError` for any other."""
    if not isinstance(space, spaces.Discrete):
        raise TaskError(f"actions are {_show(space)}, but only Discrete actions can be learned")
    count: Any = space.n
    start: Any = space.start
    return int(count), int(start)


def _leaves(
    space: Space[Any], name: str = "", path: tuple[Any, ...] = ()
) -> Iterator[tuple[str, tuple[Any, ...], Space[Any]]]:
    """(flat name, keys that lead to it, space) of each array in `space`."""
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        yield name or "observation", path, space
        return
    if len(space.spaces) == 0:
        _refuse(name or "observation", space, "it is empty")
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            yield from _leaves(part, _dict_name(name, key), (*path, key))
    else:
        for index, part in enumerate(space.spaces):
            yield from _leaves(part, f"{name or 'observation'}_{index}", (*path, index))


def _dict_name(prefix: str, key: Any) -> str:
    word = re.sub(r"\W", "_", str(key), flags=re.ASCII)  # names become a served model's inputs
    if prefix:
        return f"{prefix}_{word}"
    return word if word.isidentifier() else f"observation_{word}"


def _array_spec(name: str, space: Space[Any]) -> ArraySpec:
    if isinstance(space, spaces.Discrete):
        return _categorical(name, space, space.start, space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return _categorical(name, space, space.start, space.nvec)
    if isinstance(space, spaces.MultiBinary):
        return ArraySpec(shape=_shape(name, space), dtype="int8", low=(0.0,), high=(1.0,))
    if isinstance(space, spaces.Box):
        return _box(name, space)
    _refuse(name, space, f"this kind of space has no fixed arrays; {ALLOWED_OBSERVATIONS}")


def _categorical(name: str, space: Space[Any], start: Any, count: Any) -> ArraySpec:
    """Integers start … start + count - 1; where elements differ, the range that covers them all."""
    shape = _shape(name, space)
    first, end = int(np.min(start)), int(np.max(start + count))
    if first < INT32.min or end > INT32.max or end - first > MAX_CATEGORIES:
        _refuse(name, space, f"at most {MAX_CATEGORIES:,} categories that fit int32 are allowed")
    return ArraySpec(shape=shape, dtype="int32", categories=end - first, start=first)


def _box(name: str, space: spaces.Box) -> ArraySpec:
    shape = _shape(name, space)
    if space.dtype == np.bool_:
        return ArraySpec(shape=shape, dtype="int8", low=(0.0,), high=(1.0,))
    if np.issubdtype(space.dtype, np.floating):
        # A float64 bound may overflow float32; it then is infinite, which says the same.
        with np.errstate(over="ignore"):
            low, high = space.low.astype(np.float32), space.high.astype(np.float32)
        if np.any(low <= -UNBOUNDED) or np.any(high >= UNBOUNDED):
            return ArraySpec(shape=shape, dtype="float32")
        return ArraySpec(shape=shape, dtype="float32", low=_bounds(low), high=_bounds(high))
    within_int32 = space.low.min() >= INT32.min and space.high.max() <= INT32.max
    narrow = space.dtype in (np.int8, np.uint8, np.int16, np.uint16)
    if not space.is_bounded("both") or not within_int32:
        _refuse(name, space, "it is unbounded; an integer Box needs a low and a high within int32")
    dtype = str(space.dtype) if narrow else "int32"
    return ArraySpec(shape=shape, dtype=dtype, low=_bounds(space.low), high=_bounds(space.high))


def _shape(name: str, space: Space[Any]) -> tuple[int, ...]:
    shape = space.shape
    if shape is None or 0 in shape:
        _refuse(name, space, f"its shape {shape} holds no number; every axis must be at least 1 long")
    return tuple(int(length) for length in shape)


def _bounds(values: np.ndarray) -> tuple[float, ...]:
    """Flattened; one value where all are alike, so that an image's bounds stay small."""
    flat = values.ravel()
    return (float(flat[0]),) if np.all(flat == flat[0]) else tuple(float(value) for value in flat)


def _stacked(spec: ArraySpec, frame_stack: int) -> ArraySpec:
    if frame_stack == 1:
        return spec

    def tiled(bounds: tuple[float, ...]) -> tuple[float, ...]:
        return bounds * frame_stack if len(bounds) > 1 else bounds

    return ArraySpec(
        shape=(frame_stack, *spec.shape),
        dtype=spec.dtype,
        low=tiled(spec.low),
        high=tiled(spec.high),
        categories=spec.categories,
        start=spec.start,
        frame_stack=frame_stack,
    )


def _refuse(name: str, space: Space[Any], why: str) -> NoReturn:
    raise TaskError(f'observation "{name}" is {_show(space)}: {why}')


def _show(space: Space[Any]) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= 120 else f"{text[:117]}..."
