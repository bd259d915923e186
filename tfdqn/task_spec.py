"""`TaskSpec`: what a task looks like from outside; resolved once at launch and kept in the run.

With it learners, replay servers and exporters need no environment package. An observation is always a
flat dict of named arrays: {"observation": x} for a single space, a Dict space's own keys, or
"observation_0", "observation_1", … for a Tuple. `flat_name` says what nested and unusual keys become.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct


class ArraySpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One array of an observation, without its batch axis."""

    shape: tuple[int, ...]
    dtype: str  # a NumPy name: float32, uint8, int32, …
    # What networks divide by, so that bytes and images lie within ±1: one number, or one for each channel of an image
    # (the last axis); none: nothing, but for bytes 255.
    high: tuple[float, ...] = ()
    categories: int = 0  # > 0: integers start, …, start + categories - 1, seen one-hot by the networks
    start: int = 0
    # Of numbers, lowest and highest: one pair for all of a frame's elements, or a pair for each; none: unbounded.
    bounds: tuple[tuple[float | None, float | None], ...] = ()
    frame_stack: int = 1  # > 1: the leading axis of `shape` stacks so many consecutive frames, oldest first

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Of one frame; without a stack, of the whole."""
        return self.shape[1:] if self.frame_stack > 1 else self.shape

    @property
    def has_image_shape(self) -> bool:
        """Whether a frame is [H, W] or [H, W, C]."""
        return len(self.frame_shape) in (2, 3)

    @property
    def is_of_unknown_scale(self) -> bool:
        """Whether nothing brings its numbers near ±1: no categories, bytes or bits, no image with known bounds."""
        if self.categories or self.dtype == "uint8" or self.high:
            return False
        return not (self.has_image_shape and self._lies_within_one)

    @property
    def _lies_within_one(self) -> bool:
        ends = [end for pair in self.bounds for end in pair]
        return bool(ends) and all(end is not None and abs(end) <= 1 for end in ends)


class ActionSpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The environment's own actions: arrays whose element e takes counts[e] evenly spaced values, low[e] to high[e].

    Elements are in the order of the array's rows. Actions count from 0 everywhere in tfdqn: as a product, one number
    stands for all elements, the last of which changes fastest; as branches, there is a number for each. A Discrete
    space is one element of an array without axes.
    """

    low: tuple[int | float, ...]
    high: tuple[int | float, ...]
    counts: tuple[int, ...]
    shape: tuple[int, ...] = ()
    dtype: str = "int64"  # a NumPy name
    form: Literal["product", "branches"] = "product"

    @property
    def is_one_number(self) -> bool:
        """Whether it is whole numbers without a gap, as a Discrete space's."""
        return self.shape == () and isinstance(self.low[0], int) and self.high[0] - self.low[0] + 1 == self.counts[0]

    @property
    def counts_from_zero(self) -> bool:
        """Whether an action is its own number, as in most Discrete spaces."""
        return self.is_one_number and self.low[0] == 0

    @property
    def num_actions(self) -> tuple[int, ...]:
        """(A,) where an action is one number; (A_1, …, A_D), one for each branch."""
        return self.counts if self.form == "branches" else (math.prod(self.counts),)

    @property
    def strides(self) -> tuple[int, ...]:
        """By how much a product's number grows with each element's."""
        return tuple(math.prod(self.counts[element + 1 :]) for element in range(len(self.counts)))

    def values(self, element: int) -> np.ndarray:
        """An element's values, [counts[element]] of the environment's type."""
        low, high, count = self.low[element], self.high[element], self.counts[element]
        steps = max(count - 1, 1)
        if isinstance(low, int) and isinstance(high, int):  # exact, however large
            return np.array([low + (2 * i * (high - low) + steps) // (2 * steps) for i in range(count)], self.dtype)
        part = np.arange(count) / steps
        return np.clip(low * (1 - part) + high * part, low, high).astype(self.dtype)


class OwnActions:
    """The environment's own action for every one that is counted from 0, and the reverse.

    Attributes:
      table: all elements' values, one element's after another's; none of one number, which needs no table.
      first: where each element's begin in it, int64[elements].
    """

    def __init__(self, spec: ActionSpec):
        self._spec, self._dtype = spec, np.dtype(spec.dtype)
        self._has_branches = len(spec.num_actions) > 1
        self._values = [] if spec.is_one_number else [spec.values(element) for element in range(len(spec.counts))]
        self.table = np.concatenate(self._values) if self._values else np.zeros(0, self._dtype)
        self.first = np.cumsum([0, *spec.counts[:-1]])
        self._counts, self._strides = np.array(spec.counts), np.array(() if self._has_branches else spec.strides)

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """int32[B], or [B, D] of branches → the environment's own, [B, *shape]."""
        if self._spec.is_one_number:
            return np.asarray(actions, self._dtype) + self._dtype.type(self._spec.low[0])
        indices = np.asarray(actions, np.int64)
        if not self._has_branches:
            indices = indices[..., np.newaxis] // self._strides % self._counts
        own: np.ndarray = self.table[self.first + indices]
        return own.reshape((*indices.shape[:-1], *self._spec.shape))

    def indices(self, own: np.ndarray) -> np.ndarray:
        """The reverse of a call. Raises ValueError for an action that is none of these."""
        by_element = np.asarray(own, self._dtype).reshape(len(own), -1)
        if self._spec.is_one_number:
            low, high = self._spec.low[0], self._spec.high[0]
            if (wrong := (by_element < low) | (by_element > high)).any():
                raise ValueError(f"{by_element[wrong][0]} is none of {low} to {high}")
            return (by_element[:, 0] - low).astype(np.int32)
        columns = []
        for values, column in zip(self._values, by_element.T, strict=True):
            index = np.minimum(np.searchsorted(values, column), len(values) - 1)
            if (wrong := values[index] != column).any():
                raise ValueError(f"{column[wrong][0]} is none of the values {values}")
            columns.append(index)
        indices = np.stack(columns, axis=1)
        return (indices if self._has_branches else indices @ self._strides).astype(np.int32)


def discrete(count: int, start: int = 0) -> ActionSpec:
    """Actions start, …, start + count - 1."""
    return ActionSpec(low=(start,), high=(start + count - 1,), counts=(count,))


def all_legal(num_actions: tuple[int, ...]) -> np.ndarray:
    """bool[A]; bool[D, the largest A_d] of branches, False beyond a branch's own actions."""
    legal = np.arange(max(num_actions)) < np.reshape(num_actions, (-1, 1))
    return legal[0] if len(num_actions) == 1 else legal


class MaskForms:
    """The forms in which a state's mask may be given, and all of them in one: every action's in a row.

    Of a product, one for each action in its order, or in the shape of the grid. Of branches, those of all branches one
    after another, an array for each branch, or [D, A] of rows as long as the longest, beyond whose own actions nothing
    counts.

    Attributes:
      shapes: of one state's mask that is one array, the row's first.
    """

    def __init__(self, actions: ActionSpec):
        self._counts = actions.num_actions
        self._branches = all_legal(self._counts) if len(self._counts) > 1 else None
        other = actions.counts if self._branches is None else self._branches.shape
        self.shapes = tuple(dict.fromkeys(((sum(self._counts),), other)))

    def in_a_row(self, given: Any, leading: tuple[int, ...] = ()) -> np.ndarray:
        """[*leading, actions], in the type that was given; of a batch, each row may be of any form.

        Raises ValueError, whose words follow the mask's name: "has shape (5,), not (6,) or (3, 3)".
        """
        if isinstance(given, np.ndarray) and given.dtype == object:
            given = given.tolist()
        if isinstance(given, tuple) and self._is_by_branch(given, leading):
            return np.concatenate(given, axis=-1)
        try:
            mask = np.array(given)
        except ValueError:  # rows of several lengths
            return self._of_rows(given, leading)
        shape = mask.shape[len(leading) :]
        if mask.shape[: len(leading)] != leading or shape not in self.shapes:
            raise ValueError(f"has shape {mask.shape}, not {self._allowed(leading)}")
        if shape == self.shapes[0]:
            return mask
        return mask.reshape(*leading, -1) if self._branches is None else mask[..., self._branches]

    def padded(self, row: np.ndarray) -> np.ndarray:
        """bool[…, A] of one that is in a row; [..., D, A] of branches, False beyond a branch's own actions."""
        if self._branches is None:
            return row
        rows = np.zeros((*row.shape[:-1], *self._branches.shape), np.bool_)
        rows[..., self._branches] = row
        return rows

    def _of_rows(self, given: Any, leading: tuple[int, ...]) -> np.ndarray:
        if self._is_by_branch(given, leading):
            return np.concatenate(given, axis=-1)
        if not leading or len(given) != leading[0]:
            raise ValueError(f"has rows of several lengths, not the shape {self._allowed(leading)}")
        return np.stack([self.in_a_row(each, leading[1:]) for each in given])

    def _is_by_branch(self, given: Sequence[Any], leading: tuple[int, ...]) -> bool:
        try:
            return [np.shape(each) for each in given] == [(*leading, count) for count in self._counts]
        except ValueError:  # one of them has rows of several lengths itself
            return False

    def _allowed(self, leading: tuple[int, ...]) -> str:
        return " or ".join(str((*leading, *shape)) for shape in self.shapes)


class TaskSpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A task's observations and actions."""

    id: str
    observation: dict[str, ArraySpec]
    actions: ActionSpec
    action_names: tuple[tuple[str, ...], ...] = ()  # for each dimension those that the task itself gives, if any
    action_masks: bool = False
    max_episode_steps: int | None = None

    @property
    def num_actions(self) -> tuple[int, ...]:
        """(A,): actions are int32[B], Q-values float32[B, A]; (A_1, …, A_D) of branches: actions are int32[B, D],
        Q-values float32[B, D, the largest A_d].
        """
        return self.actions.num_actions

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Of one action: (), or (D,) of branches."""
        return self.mask_shape[:-1]

    @property
    def mask_shape(self) -> tuple[int, ...]:
        """One state's legal actions: bool[A]; bool[D, the largest A_d] for branching, padded with False."""
        branches = () if len(self.num_actions) == 1 else (len(self.num_actions),)
        return (*branches, max(self.num_actions))

    @property
    def all_legal(self) -> np.ndarray:
        """bool[*mask_shape]: False beyond a branch's own actions alone."""
        return all_legal(self.num_actions)

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2)

    @classmethod
    def from_json(cls, text: bytes) -> "TaskSpec":
        """Raises `msgspec.DecodeError` on what `to_json` would not write, nor would have in earlier versions."""
        fields = msgspec.json.decode(text)
        if isinstance(fields, dict) and "action_start" in fields:
            both = msgspec.convert({key: fields.pop(key, None) for key in _Discrete.__struct_fields__}, _Discrete)
            fields["actions"] = msgspec.to_builtins(discrete(both.num_actions[0], both.action_start[0]))
        return msgspec.convert(fields, cls)


class _Discrete(Struct):
    """What versions that knew no other actions kept of them."""

    num_actions: tuple[int]
    action_start: tuple[int]


def differences(before: TaskSpec, now: TaskSpec) -> list[str]:
    """What another specification says otherwise, one line a field; but not what only tells people about the task.

    Nor that `before` divides images by nothing, as versions did that knew no bounds but those of bytes: its networks
    have learned from them so, and go on with `before`.
    """
    one, other = _what_is_learned(before), _what_is_learned(now)
    for key, part in one["observation"].items():
        if not part["high"] and key in other["observation"]:
            part["high"] = other["observation"][key]["high"]
    return [f"{key}: {one[key]} in the run, {other[key]} now" for key in one if one[key] != other[key]]


def _what_is_learned(spec: TaskSpec) -> dict[str, Any]:
    fields = msgspec.to_builtins(spec)
    fields |= {f"actions.{key}": value for key, value in fields.pop("actions").items()}
    del fields["action_names"], fields["actions.dtype"]  # a type decides how an action is handed over
    for part in fields["observation"].values():
        del part["bounds"]
    return fields


def flat_name(prefix: str, key: object) -> str:
    """What an observation's part is called: its key in a Dict or its index in a Tuple, after what it lies in.

    Only letters, digits and "_", a letter first: what TensorFlow takes for the name of a served input.
    """
    word = re.sub(r"\W", "_", str(key), flags=re.ASCII)
    if prefix or not word[:1].isalpha():
        return f"{prefix or 'observation'}_{word}"
    return word
