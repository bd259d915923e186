"""`PolicyInputs`: checks the inputs of a policy against its task, for `LoadedPolicy` and for HTTP requests alike."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdqn.errors import UserError
from tfdqn.task_spec import LEGAL_ACTIONS, POLICY_STATE, ArraySpec, TaskSpec

NEXT_POLICY_STATE = "next_policy_state"  # an output: the policy state for the next step
ENVIRONMENT_ACTION = "environment_action"  # an output: the action as the environment takes it, if `action` isn't
_MOST_NUMBERS = 64  # of a request that is shown as an example
Range = tuple[np.ndarray, np.ndarray]  # (lowest, highest), each [] or of the shape that the observation has


class PolicyInputs:
    """The inputs of a policy: the observation's parts, `legal_actions` if the task has action masks, and `policy_state`
    if the policy has a memory, of `state_size` numbers."""

    def __init__(self, task_spec: TaskSpec, state_size: int = 0):
        self._specs = dict(task_spec.observation)
        if state_size:
            self._specs[POLICY_STATE] = ArraySpec(shape=(state_size,), dtype="float32")
        self._ranges = {key: _range(spec) for key, spec in self._specs.items()}
        self._actions = task_spec.all_legal if task_spec.action_masks else None

    @property
    def names(self) -> set[str]:
        """The names of all inputs."""
        return {*self._specs} | ({LEGAL_ACTIONS} if self._actions is not None else set())

    def check(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Raises UserError for a value that the task can't give: for such an input the policy's output means nothing.

        `inputs` has every input by name, in the task's dtype, [B, *shape] or [*shape].
        """
        check_finite(inputs)
        for key, between in self._ranges.items():
            if between is not None:
                _check_range(key, inputs[key], between)
        if self._actions is not None:
            _check_legal(inputs[LEGAL_ACTIONS], self._actions)

    def range_of(self, name: str) -> Range | None:
        """The range of an input of whole numbers; None for floats, and where the range is the dtype's own."""
        return self._ranges.get(name)

    def example(self, rows: int) -> dict[str, np.ndarray]:
        """Inputs [rows, *shape] that pass `check`: zeros, or the possible values next to zero; every action legal."""
        found = {}
        for key, spec in self._specs.items():
            between = self._ranges[key]
            row = np.zeros(spec.shape, spec.dtype)
            row = row if between is None else np.clip(row, *between)
            found[key] = np.broadcast_to(row, (rows, *spec.shape)).astype(spec.dtype)
        if self._actions is not None:
            found[LEGAL_ACTIONS] = np.broadcast_to(self._actions, (rows, *self._actions.shape))
        return found


def short_request(inputs: Mapping[str, np.ndarray]) -> str:
    """The JSON of a prediction request with the first row of all inputs; "" if it has more than 64 numbers."""
    if sum(array[0].size for array in inputs.values()) > _MOST_NUMBERS:
        return ""
    return json.dumps({"instances": [unnamed({name: array[0].tolist() for name, array in inputs.items()})]})


def unnamed(row: Mapping[str, Any]) -> Any:
    """A row of inputs as a request has it: that of a single input needs no name."""
    return row if len(row) > 1 else next(iter(row.values()))


def state_size_of(inputs: Mapping[str, Any], task_spec: TaskSpec) -> int:
    """The size of the policy state, read off a SavedModel's input specifications; 0: the policy has no memory."""
    if POLICY_STATE in task_spec.observation or POLICY_STATE not in inputs:
        return 0
    return int(inputs[POLICY_STATE].shape[-1])


def in_dtype(
    key: str, values: Any, dtype: np.dtype, first: int = 0, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """`values`, an array or nested lists, as an array of `dtype`.

    Args:
      key: the name of the input.
      values: the whole input or a part of it.
      dtype: to which they are cast as NumPy does.
      first: the index along the first axis of the whole input at which they begin.
      shape: if given, `values` are in row-major order, and the whole input has this shape.

    Raises UserError for the first number that is finite, but too large for the floats of `dtype`.
    """
    try:
        with np.errstate(over="raise"):
            return np.asarray(values, dtype)
    except FloatingPointError:
        exact = np.asarray(values, np.longdouble)
    with np.errstate(over="ignore"):
        place = _first(np.isinf(exact.astype(dtype)) & np.isfinite(exact))
    whole = (place[0] + first, *place[1:]) if place else ()
    if shape is not None and whole[0] < math.prod(shape):
        whole = tuple(map(int, np.unravel_index(whole[0], shape)))
    most = float(np.finfo(dtype).max)
    raise UserError(f"{_named(key, whole)}: {exact[place]:.8g} does not fit {dtype}, which reaches ±{most:.8g}")


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises UserError for the first number that is NaN or infinite."""
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
            place = _first(~finite)
            raise UserError(f"{_named(key, place)}: {array[place]} is not a finite {array.dtype}")


def _range(spec: ArraySpec) -> Range | None:
    """As `PolicyInputs.range_of`."""
    if spec.categories and not spec.bounds:
        return np.array(spec.start), np.array(spec.start + spec.categories - 1)
    whole = np.dtype(spec.dtype)
    if whole.kind not in "iu" or not spec.bounds:
        return None
    limits = np.iinfo(whole)
    lowest = np.array([limits.min if low is None else int(low) for low, _ in spec.bounds])
    highest = np.array([limits.max if high is None else int(high) for _, high in spec.bounds])
    if (lowest <= limits.min).all() and (highest >= limits.max).all():
        return None
    shape = () if len(spec.bounds) == 1 else spec.frame_shape
    return lowest.reshape(shape), highest.reshape(shape)


def _check_range(key: str, array: np.ndarray, between: Range) -> None:
    lowest, highest = between
    outside = (array < lowest) | (array > highest)
    if outside.any():
        place = _first(outside)
        low, high = (np.broadcast_to(each, array.shape)[place] for each in between)
        raise UserError(f"{_named(key, place)}: {array[place]}; the task has {low} to {high}")


def _check_legal(legal: np.ndarray, actions: np.ndarray) -> None:
    """Checks masks bool[…, A] or […, D, A] against `actions`, which says what actions each dimension has."""
    none = ~legal.any(axis=-1)
    if none.any():
        raise UserError(f"{_named(LEGAL_ACTIONS, _first(none))}: no action is legal")
    beyond = legal & ~actions
    if beyond.any():
        place = _first(beyond)
        count = np.broadcast_to(actions, legal.shape)[place[:-1]].sum()
        raise UserError(f"{_named(LEGAL_ACTIONS, place)}: true; the task has {count} actions there")


def _first(bad: np.ndarray) -> tuple[int, ...]:
    """The index of the first true element."""
    return tuple(int(each) for each in np.argwhere(bad)[0])


def _named(key: str, place: tuple[int, ...]) -> str:
    """An element as JSON and Python index it: position[3][1]."""
    return key + "".join(f"[{each}]" for each in place)
