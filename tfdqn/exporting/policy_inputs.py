"""`PolicyInputs`: the values that a task can give its policy; one check for `LoadedPolicy` and for requests by HTTP."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdqn.errors import UserError
from tfdqn.task_spec import ArraySpec, TaskSpec

LEGAL_ACTIONS = "legal_actions"  # the masks' name among a policy's inputs
POLICY_STATE = "policy_state"  # among its inputs, what a policy with a memory remembers; zeros begin an episode
NEXT_POLICY_STATE = "next_policy_state"  # among its outputs, what the next step's call is given
ENVIRONMENT_ACTION = "environment_action"  # among its outputs, what the environment takes, where `action` is not that
Range = tuple[np.ndarray, np.ndarray]  # lowest and highest, each [] or of the observation's shape


class PolicyInputs:
    """A policy's inputs by name: the parts of an observation, `legal_actions` where the task has masks, and
    `policy_state` where the policy has a memory, of `state_size` numbers.
    """

    def __init__(self, task_spec: TaskSpec, state_size: int = 0):
        self._specs = dict(task_spec.observation)
        if state_size:
            self._specs[POLICY_STATE] = ArraySpec(shape=(state_size,), dtype="float32")
        self._ranges = {key: _range(spec) for key, spec in self._specs.items()}
        self._actions = task_spec.all_legal if task_spec.action_masks else None

    @property
    def names(self) -> set[str]:
        return {*self._specs} | ({LEGAL_ACTIONS} if self._actions is not None else set())

    def check(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Raises UserError for what the task can't give, and to which the policy's answer would mean nothing.

        Args:
          inputs: in the task's dtypes and shapes, with a batch axis or without: [B, *shape] or [*shape].
        """
        check_finite(inputs)
        for key, between in self._ranges.items():
            if between is not None:
                _check_range(key, inputs[key], between)
        if self._actions is not None:
            _check_legal(inputs[LEGAL_ACTIONS], self._actions)

    def range_of(self, name: str) -> Range | None:
        """Of an input's whole numbers; none if the dtype alone says it."""
        return self._ranges.get(name)

    def example(self, rows: int) -> dict[str, np.ndarray]:
        """Rows that pass the check: zeros, or the nearest that the task can give; every action legal."""
        found = {}
        for key, spec in self._specs.items():
            between = self._ranges[key]
            row = np.zeros(spec.shape, spec.dtype)
            row = row if between is None else np.clip(row, *between)
            found[key] = np.broadcast_to(row, (rows, *spec.shape)).astype(spec.dtype)
        if self._actions is not None:
            found[LEGAL_ACTIONS] = np.broadcast_to(self._actions, (rows, *self._actions.shape))
        return found


def state_size_of(inputs: Mapping[str, Any], task_spec: TaskSpec) -> int:
    """How many numbers a policy remembers, by the specifications of what its SavedModel takes; 0: it has no memory."""
    if POLICY_STATE in task_spec.observation or POLICY_STATE not in inputs:
        return 0
    return int(inputs[POLICY_STATE].shape[-1])


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises UserError for the first number that is NaN or infinite."""
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
            place = _first(~finite)
            raise UserError(f"{_named(key, place)}: {array[place]} is not a finite {array.dtype}")


def _range(spec: ArraySpec) -> Range | None:
    """Of whole numbers; none if the dtype alone says it."""
    if spec.categories:
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
    none = ~legal.any(axis=-1)
    if none.any():
        raise UserError(f"{_named(LEGAL_ACTIONS, _first(none))}: no action is legal")
    beyond = legal & ~actions
    if beyond.any():
        place = _first(beyond)
        count = np.broadcast_to(actions, legal.shape)[place[:-1]].sum()
        raise UserError(f"{_named(LEGAL_ACTIONS, place)}: true; the task has {count} actions there")


def _first(bad: np.ndarray) -> tuple[int, ...]:
    return tuple(int(each) for each in np.argwhere(bad)[0])


def _named(key: str, place: tuple[int, ...]) -> str:
    """As JSON and Python index it: position[3][1]."""
    return key + "".join(f"[{each}]" for each in place)
