"""gymnasium's observation spaces → the arrays of a `TaskSpec`, by flat names."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
from gymnasium import Space, spaces
from msgspec import structs

from tfdqn.errors import TaskError, shortened
from tfdqn.task_spec import ArraySpec, flat_name

ALLOWED_OBSERVATIONS = "allowed are Box, Discrete, MultiDiscrete, MultiBinary, and Dict or Tuple of them"
MAX_CATEGORIES = 1_000_000  # a batch of longer one-hot vectors fits no machine's memory
MAX_LISTED_BOUNDS = 64  # a float Box with more has one range for all: no value is refused by it
MAX_PIXEL = 65_535  # of 16 bits; an image with a higher bound (float32's largest number, say) has no known scale
INT32 = np.iinfo(np.int32)


def observation_specs(space: Space[Any], frame_stack: int = 1) -> dict[str, ArraySpec]:
    """The `ArraySpec` of each array in `space`, by flat name.

    Floats of any width become float32, bits uint8, and integers other than uint8 int32, which must hold their bounds
    (TF-Agents can't build a network for narrower ones). `frame_stack` observations are stacked, oldest first, on a new
    leading axis; 1: none.

    Raises TaskError, with the array's name, its space and what is allowed, for a space that can't be learned from.
    """
    specs: dict[str, ArraySpec] = {}
    for name, _, leaf in leaves(space):
        if name in specs:
            _refuse(name, leaf, "another part of the observation has the same flat name; rename one")
        spec = _array_spec(name, leaf)
        if frame_stack > 1:
            spec = structs.replace(spec, shape=(frame_stack, *spec.shape), frame_stack=frame_stack)
        specs[name] = spec
    return specs


def leaves(
    space: Space[Any], name: str = "", path: tuple[Any, ...] = ()
) -> Iterator[tuple[str, tuple[Any, ...], Space[Any]]]:
    """Yields (flat name, the keys that lead to it, space) for each array in `space`.

    `name` and `path` are those of `space` itself inside a larger space. Raises TaskError for an empty Dict or Tuple.
    """
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        yield name or "observation", path, space
        return
    if len(space.spaces) == 0:
        _refuse(name or "observation", space, "it is empty")
    for key, part in space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces):
        yield from leaves(part, flat_name(name, key), (*path, key))


def undeclared_keys(space: Space[Any], observation: Any, name: str = "") -> list[str]:
    """The flat names of what an observation has in its dicts and `space` doesn't declare."""
    parts: list[tuple[Any, Space[Any]]]
    if isinstance(space, spaces.Dict) and isinstance(observation, Mapping):
        found = [flat_name(name, key) for key in observation if key not in space.spaces]
        parts = [(key, part) for key, part in space.spaces.items() if key in observation]
    elif isinstance(space, spaces.Tuple) and isinstance(observation, tuple | list):
        found, parts = [], list(enumerate(space.spaces[: len(observation)]))
    else:
        return []
    for key, part in parts:
        found += undeclared_keys(part, observation[key], flat_name(name, key))
    return found


def observation_bytes(space: Space[Any]) -> int:
    """The size of one observation in the space's own dtypes, which may be wider than those of the `TaskSpec`."""
    return sum(math.prod(leaf.shape or ()) * np.dtype(leaf.dtype).itemsize for _, _, leaf in leaves(space))


def show(space: Space[Any]) -> str:
    """The space on one line of at most 120 characters, for errors."""
    return shortened(" ".join(str(space).split()), 120)


def _array_spec(name: str, space: Space[Any]) -> ArraySpec:
    if isinstance(space, spaces.Discrete):
        return _categorical(name, space, space.start, space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return _categorical(name, space, space.start, space.nvec)
    if isinstance(space, spaces.MultiBinary):
        return ArraySpec(shape=_shape(name, space), dtype="uint8", high=(1.0,), bounds=((0.0, 1.0),))
    if isinstance(space, spaces.Box):
        return _box(name, space)
    _refuse(name, space, f"this kind of space has no fixed arrays; {ALLOWED_OBSERVATIONS}")


def _categorical(name: str, space: Space[Any], start: Any, count: Any) -> ArraySpec:
    """Integers from start to start + count - 1; if elements differ, the range of all, and as bounds that of each."""
    shape = _shape(name, space)
    first, end = int(np.min(start)), int(np.max(start + count))
    if first < INT32.min or end > INT32.max or end - first > MAX_CATEGORIES:
        _refuse(name, space, f"at most {MAX_CATEGORIES:,} categories that fit int32 are allowed")
    lows, ends = np.broadcast_to(start, shape).ravel(), np.broadcast_to(start + count, shape).ravel()
    differ = (lows != first).any() or (ends != end).any()
    bounds = tuple((float(low), float(to - 1)) for low, to in zip(lows, ends, strict=True)) if differ else ()
    return ArraySpec(shape=shape, dtype="int32", categories=end - first, start=first, bounds=bounds)


def _box(name: str, space: spaces.Box) -> ArraySpec:
    shape = _shape(name, space)
    bounds = _bounds(space)
    if space.dtype == np.bool_:
        return ArraySpec(shape=shape, dtype="uint8", high=(1.0,), bounds=bounds)
    if np.issubdtype(space.dtype, np.floating):
        return ArraySpec(shape=shape, dtype="float32", high=_pixel_bounds(space), bounds=bounds)
    within_int32 = space.low.min() >= INT32.min and space.high.max() <= INT32.max
    if not space.is_bounded("both") or not within_int32:
        _refuse(name, space, "it is unbounded; an integer Box needs a low and a high within int32")
    if space.dtype == np.uint8:
        return ArraySpec(shape=shape, dtype="uint8", high=(float(space.high.max()),), bounds=bounds)
    return ArraySpec(shape=shape, dtype="int32", high=_pixel_bounds(space), bounds=bounds)


def _pixel_bounds(space: spaces.Box) -> tuple[float, ...]:
    """The largest absolute value of an image's numbers, as one number or one for each channel.

    () if the space is no image ([H, W] or [H, W, C]), or the bound is at most 1, unknown, or not that of all pixels.
    """
    if len(space.shape) not in (2, 3):
        return ()
    bounds = np.maximum(np.abs(space.low.astype(np.float64)), np.abs(space.high.astype(np.float64)))
    pixels = bounds.reshape(-1, space.shape[2] if len(space.shape) == 3 else 1)
    if (pixels != pixels[0]).any() or not 1 < pixels[0].max() <= MAX_PIXEL:
        return ()
    channels = pixels[0] if (pixels[0] != pixels[0][0]).any() else pixels[0][:1]
    return tuple(channels.tolist())


def _bounds(space: spaces.Box) -> tuple[tuple[float | None, float | None], ...]:
    """(lowest, highest) of each element in row-major order, or one pair for all that are alike, or very many floats.

    None stands for an infinite bound.
    """
    low, high = space.low.astype(np.float64).ravel(), space.high.astype(np.float64).ravel()
    are_very_many_floats = np.issubdtype(space.dtype, np.floating) and low.size > MAX_LISTED_BOUNDS
    if are_very_many_floats or ((low == low[0]).all() and (high == high[0]).all()):
        low, high = low.min(keepdims=True), high.max(keepdims=True)

    def known(bound: float) -> float | None:
        return float(bound) if np.isfinite(bound) else None

    return tuple((known(one), known(other)) for one, other in zip(low, high, strict=True))


def _shape(name: str, space: Space[Any]) -> tuple[int, ...]:
    """The space's shape. Raises TaskError if an axis is empty."""
    shape = space.shape
    if shape is None or 0 in shape:
        _refuse(name, space, f"its shape {shape} holds no number; every axis must be at least 1 long")
    return tuple(int(length) for length in shape)


def _refuse(name: str, space: Space[Any], why: str) -> NoReturn:
    raise TaskError(f'observation "{name}" is {show(space)}: {why}')
