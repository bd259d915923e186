"""Actions: an action space → its `ActionSpec`, and actions counted from 0 → the environment's own.

Actions count from 0 everywhere in tfdqn. One of a MultiDiscrete, a MultiBinary or a Box, whose elements take
`task.action_bins` values each, is one number (`task.action_form = "product"`) or one for each element ("branches").
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import Space, spaces
from msgspec import structs

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_spec import ActionSpec, OwnActions, TaskSpec, discrete
from tfdqn.tasks.observations import show

MAX_ACTIONS = 1_000_000  # the most Q-values of one state, for a product or for all branches together


def action_spec(space: Space[Any], task: Task) -> ActionSpec:
    """The actions of a space, by `task.action_bins` and `task.action_form`.

    Raises TaskError for a space that has no finite number of actions by these keys, or too many.
    """
    if isinstance(space, spaces.Discrete):
        spec = structs.replace(
            discrete(int(np.asarray(space.n)), int(np.asarray(space.start))), dtype=str(np.dtype(space.dtype))
        )
    elif isinstance(space, spaces.MultiDiscrete):
        start = np.asarray(space.start)
        spec = _grid(space, start, start + space.nvec - 1, space.nvec, task)
    elif isinstance(space, spaces.MultiBinary):
        zeros = np.zeros(space.shape, int)
        spec = _grid(space, zeros, zeros + 1, zeros + 2, task)
    elif isinstance(space, spaces.Box):
        if not space.is_bounded("both"):
            raise TaskError(f"actions are {show(space)}: task.action_bins needs bounds, and it is unbounded")
        spec = _grid(space, space.low, space.high, _bins(space, task.action_bins), task)
    else:
        raise TaskError(f"actions are {show(space)}: allowed are Discrete, MultiDiscrete, MultiBinary and bounded Box")
    if task.action_bins and not isinstance(space, spaces.Box):
        raise TaskError(f"task.action_bins is for actions of a Box, and they are {show(space)}")
    _check_size(space, spec)
    return spec


def to_environment(spec: TaskSpec) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from actions int32[E] or [E, D], counted from 0, to the environment's own; None if they are equal."""
    return None if spec.actions.counts_from_zero else OwnActions(spec.actions)


def action_names(env: gymnasium.Env[Any, Any]) -> tuple[str, ...]:
    """The actions' names by the environment's `get_action_meanings()`, as Atari's have it; () if that gives none."""
    with contextlib.suppress(Exception, SystemExit):  # it may be another method of that name
        return tuple(str(each) for each in env.unwrapped.get_action_meanings())  # type: ignore[attr-defined]
    return ()


def check_action_names(names: Sequence[str], num_actions: tuple[int, ...]) -> None:
    """Raises TaskError if the user's names are not one for each action."""
    if names and len(num_actions) > 1:
        raise TaskError(
            'task.action_names: not with several action dimensions by task.action_form = "branches"; '
            "task.action_names=[] leaves them out"
        )
    if names and len(names) != num_actions[0]:
        raise TaskError(
            f"task.action_names must have one name for each action: it has {len(names)}, and the task "
            f"{num_actions[0]}; task.action_names=[] leaves them out"
        )
    if twice := {name for name in names if names.count(name) > 1}:
        raise TaskError(f"task.action_names has {', '.join(sorted(twice))} more than once")


def _grid(space: Space[Any], low: np.ndarray, high: np.ndarray, counts: np.ndarray, task: Task) -> ActionSpec:
    """The spec of an array of elements that each take `counts` evenly spaced values from `low` to `high`.

    An element of whole numbers takes no more values than lie between its bounds; a single value is the middle.
    """
    shape, dtype = tuple(int(length) for length in space.shape or ()), np.dtype(space.dtype)
    if 0 in shape:
        raise TaskError(f"actions are {show(space)}: an array without elements leaves nothing to choose")
    rows = (np.asarray(each).flat for each in (low, high, counts))
    elements = [_element(first, last, most, dtype.kind == "f") for first, last, most in zip(*rows, strict=True)]
    lows, highs, numbers = zip(*elements, strict=True)
    spec = ActionSpec(low=lows, high=highs, counts=numbers, shape=shape, dtype=str(dtype), form=task.action_form)
    if dtype.kind == "f" and any(len(np.unique(spec.values(e))) < count for e, count in enumerate(numbers)):
        raise TaskError(f"actions are {show(space)}: task.action_bins asks for more numbers than its bounds enclose")
    return spec


def _element(low: Any, high: Any, count: Any, is_float: bool) -> tuple[float, float, int]:
    """(lowest, highest, number of values)."""
    to_number: type[float] = float if is_float else int
    first, last, most = to_number(low), to_number(high), int(count)
    if first == last:
        most = 1
    elif not is_float:
        most = min(most, int(last - first) + 1)
    if most == 1:
        first = last = first / 2 + last / 2 if is_float else (first + last) // 2
    return first, last, most


def _bins(space: spaces.Box, bins: int | tuple[int, ...]) -> np.ndarray:
    """int[*shape]: how many values each element takes. Raises TaskError if `task.action_bins` doesn't say it."""
    if not bins:
        raise TaskError(
            f"actions are {show(space)}: task.action_bins must say how many values each dimension takes, such as "
            "task.action_bins=5"
        )
    size = math.prod(space.shape)
    if isinstance(bins, tuple) and len(bins) != size:
        needed = "1 number is" if size == 1 else f"{size} numbers are"
        raise TaskError(f"actions are {show(space)}: task.action_bins = {list(bins)}: {needed} needed, or one for all")
    if np.max(bins) == 1:
        raise TaskError(f"actions are {show(space)}: task.action_bins leaves a single action: take at least 2 values")
    return np.broadcast_to(np.array(bins), (size,)).reshape(space.shape)


def _check_size(space: Space[Any], spec: ActionSpec) -> None:
    if spec.is_one_number or sum(spec.num_actions) <= MAX_ACTIONS:
        return
    if spec.form == "product" and len(spec.counts) > 1:
        raise TaskError(
            f"actions are {show(space)}: a product of {_rough(spec.num_actions[0])}, more than {MAX_ACTIONS:,}; "
            'task.action_form = "branches" has one number for each dimension'
        )
    raise TaskError(f"actions are {show(space)}: {sum(spec.counts):,} in all dimensions, more than {MAX_ACTIONS:,}")


def _rough(count: int) -> str:
    """A count in full, or as a power of ten if it has more than 15 digits."""
    return f"{count:,}" if count < 10**15 else f"10^{math.log10(count):.0f}"
