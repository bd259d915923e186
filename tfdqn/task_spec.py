"""`TaskSpec`: a task's observations and actions, determined once at launch and kept in the run.

With it learners, replay servers and exporters need no environment package. An observation is always a flat dict of
named arrays: {"observation": x} for a single space, a Dict space's own keys, or "observation_0", "observation_1", … for
a Tuple. `flat_name` makes the names of nested and unusual keys.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from tfdqn.errors import TaskError

MASK = "action_mask"  # the key of a state's mask, in `info` or in a Dict observation
LEGAL_ACTIONS = "legal_actions"  # an export's input: the masks
POLICY_STATE = "policy_state"  # an export's input: what a policy with a memory remembers; zeros where an episode begins


class ArraySpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One array of an observation, without its batch axis."""

    shape: tuple[int, ...]
    dtype: str  # a NumPy name: float32, uint8, int32, …
    # The divisor by which networks scale bytes and images to ±1: one number, or one for each channel of an image (the
    # last axis). Empty: bytes are divided by 255, and nothing else is scaled.
    high: tuple[float, ...] = ()
    categories: int = 0  # > 0: integers start, …, start + categories - 1, which networks encode as one-hot
    start: int = 0
    # The lowest and highest value: one pair for all elements of a frame, or one for each; empty: numbers are unbounded,
    # and all elements have all the categories.
    bounds: tuple[tuple[float | None, float | None], ...] = ()
    frame_stack: int = 1  # > 1: the leading axis of `shape` stacks this many consecutive frames, oldest first

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """The shape of one frame of a stack; the whole shape if there is no stack."""
        return self.shape[1:] if self.frame_stack > 1 else self.shape

    @property
    def has_image_shape(self) -> bool:
        """Whether a frame is [H, W] or [H, W, C]."""
        return len(self.frame_shape) in (2, 3)

    @property
    def is_of_unknown_scale(self) -> bool:
        """Whether its numbers may be far from ±1: it isn't categories, bytes, bits or an image with known bounds."""
        if self.categories or self.dtype == "uint8" or self.high:
            return False
        return not (self.has_image_shape and self._lies_within_one)

    @property
    def _lies_within_one(self) -> bool:
        ends = [end for pair in self.bounds for end in pair]
        return bool(ends) and all(end is not None and abs(end) <= 1 for end in ends)


class ActionSpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The environment's own actions: arrays whose element e takes counts[e] evenly spaced values, low[e] to high[e].

    Elements are in row-major order. Actions count from 0 everywhere in tfdqn: as a product, one number stands for all
    elements, of which the last changes fastest; as branches, there is a number for each. A Discrete space is one
    element of an array without axes.
    """

    low: tuple[int | float, ...]
    high: tuple[int | float, ...]
    counts: tuple[int, ...]
    shape: tuple[int, ...] = ()
    dtype: str = "int64"  # a NumPy name
    form: Literal["product", "branches"] = "product"

    @property
    def is_one_number(self) -> bool:
        """Whether actions are consecutive integers, as in a Discrete space."""
        return self.shape == () and isinstance(self.low[0], int) and self.high[0] - self.low[0] + 1 == self.counts[0]

    @property
    def counts_from_zero(self) -> bool:
        """Whether actions are integers from 0 on, as in most Discrete spaces."""
        return self.is_one_number and self.low[0] == 0

    @property
    def num_actions(self) -> tuple[int, ...]:
        """The number of actions: (A,) if an action is one number, or (A_1, …, A_D) for branches."""
        return self.counts if self.form == "branches" else (math.prod(self.counts),)

    @property
    def strides(self) -> tuple[int, ...]:
        """How much the number of a product's action increases if that of each element increases by 1."""
        return tuple(math.prod(self.counts[element + 1 :]) for element in range(len(self.counts)))

    def values(self, element: int) -> np.ndarray:
        """The values of an element, [counts[element]], of the environment's dtype."""
        low, high, count = self.low[element], self.high[element], self.counts[element]
        steps = max(count - 1, 1)
        if isinstance(low, int) and isinstance(high, int):  # exact, however large
            return np.array([low + (2 * i * (high - low) + steps) // (2 * steps) for i in range(count)], self.dtype)
        part = np.arange(count) / steps
        return np.clip(low * (1 - part) + high * part, low, high).astype(self.dtype)


class OwnActions:
    """Converts actions that count from 0 into the environment's own.

    Attributes:
      table: the values of all elements, concatenated; empty if actions are consecutive integers.
      first: the index in it of each element's first value, int64[elements].
    """

    def __init__(self, spec: ActionSpec):
        self._spec, self._dtype = spec, np.dtype(spec.dtype)
        self._has_branches = len(spec.num_actions) > 1
        values = [] if spec.is_one_number else [spec.values(element) for element in range(len(spec.counts))]
        self.table = np.concatenate(values) if values else np.zeros(0, self._dtype)
        self.first = np.cumsum([0, *spec.counts[:-1]])
        self._counts, self._strides = np.array(spec.counts), np.array(() if self._has_branches else spec.strides)

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """Converts int32[B], or [B, D] with branches, into the environment's own actions, [B, *shape]."""
        if self._spec.is_one_number:
            return np.asarray(actions, self._dtype) + self._dtype.type(self._spec.low[0])
        indices = np.asarray(actions, np.int64)
        if not self._has_branches:
            indices = indices[..., np.newaxis] // self._strides % self._counts
        own: np.ndarray = self.table[self.first + indices]
        return own.reshape((*indices.shape[:-1], *self._spec.shape))


def discrete(count: int, start: int = 0) -> ActionSpec:
    """The actions start, …, start + count - 1 of a Discrete space."""
    return ActionSpec(low=(start,), high=(start + count - 1,), counts=(count,))


def all_legal(num_actions: tuple[int, ...]) -> np.ndarray:
    """The mask of all actions: bool[A]; for branches bool[D, the largest A_d], False beyond a branch's own actions."""
    legal = np.arange(max(num_actions)) < np.reshape(num_actions, (-1, 1))
    return legal[0] if len(num_actions) == 1 else legal


class MaskForms:
    """The forms in which a task may give the mask of a state, which are all converted into one row.

    For a product, a mask has an element for each action, in order, or in the shape of the grid of all dimensions. For
    branches, it is the concatenated masks of all branches, an array for each branch, or [D, A], whose rows are as long
    as the longest; what is beyond a branch's own actions is ignored.

    Attributes:
      shapes: the shapes that the mask of one state may have if it is a single array, that of the row first.
    """

    def __init__(self, actions: ActionSpec):
        self._counts = actions.num_actions
        self._branches = all_legal(self._counts) if len(self._counts) > 1 else None
        other = actions.counts if self._branches is None else self._branches.shape
        self.shapes = tuple(dict.fromkeys(((sum(self._counts),), other)))

    def in_a_row(self, given: Any, leading: tuple[int, ...] = ()) -> np.ndarray:
        """Converts masks into rows [*leading, actions] of their own dtype; each mask of a batch may have another form.

        Raises ValueError, whose message continues the name of the mask: "has shape (5,), not (6,) or (3, 3)".
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
        """Converts a row into bool[…, A]; for branches into [..., D, A], False beyond a branch's own actions."""
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
    action_names: tuple[tuple[str, ...], ...] = ()  # the task's own names of the actions of each dimension, if any
    action_masks: bool = False
    max_episode_steps: int | None = None

    @property
    def num_actions(self) -> tuple[int, ...]:
        """The number of actions: (A,), with actions int32[B] and Q-values float32[B, A]; or (A_1, …, A_D) for branches,
        with actions int32[B, D] and Q-values float32[B, D, the largest A_d].
        """
        return self.actions.num_actions

    @property
    def action_shape(self) -> tuple[int, ...]:
        """The shape of one action: (), or (D,) with branches."""
        return self.mask_shape[:-1]

    @property
    def mask_shape(self) -> tuple[int, ...]:
        """The shape of one state's mask: (A,); with branches (D, the largest A_d), where shorter rows are padded."""
        branches = () if len(self.num_actions) == 1 else (len(self.num_actions),)
        return (*branches, max(self.num_actions))

    @property
    def all_legal(self) -> np.ndarray:
        """The mask of all actions, bool[*mask_shape]: False only beyond a branch's own actions."""
        return all_legal(self.num_actions)

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2)

    @classmethod
    def from_json(cls, text: bytes) -> "TaskSpec":
        """Reads what `to_json` writes, or wrote in earlier versions. Raises `msgspec.DecodeError` for anything else."""
        fields = msgspec.json.decode(text)
        if isinstance(fields, dict) and "action_start" in fields:
            both = msgspec.convert({key: fields.pop(key, None) for key in _Discrete.__struct_fields__}, _Discrete)
            fields["actions"] = msgspec.to_builtins(discrete(both.num_actions[0], both.action_start[0]))
        return msgspec.convert(fields, cls)


class _Discrete(Struct):
    """The fields for actions in versions that only supported Discrete spaces."""

    num_actions: tuple[int]
    action_start: tuple[int]


def check_input_names(task_id: str, observation: Iterable[str], has_masks: bool, has_memory: bool) -> None:
    """Raises TaskError if a part of an observation has the name of the input for masks, or for a memory's state."""
    others = {LEGAL_ACTIONS: "task.action_masks = true" * has_masks, POLICY_STATE: "network.memory" * has_memory}
    for name in observation:
        if by := others.get(name):
            raise TaskError(
                f'{task_id}: observation "{name}" has the name of an input that exports have by {by}; rename it'
            )


def flat_name(prefix: str, key: object) -> str:
    """The name of a part of an observation: its key in a Dict, or its index in a Tuple, after the name it is nested in.

    It has only letters, digits and "_", and begins with a letter, as TensorFlow requires of a served input's name.
    """
    word = re.sub(r"\W", "_", str(key), flags=re.ASCII)
    if prefix or not word[:1].isalpha():
        return f"{prefix or 'observation'}_{word}"
    return word
