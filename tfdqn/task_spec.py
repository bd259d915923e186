"""`TaskSpec`: what a task looks like from outside; resolved once at launch and kept in the run.

With it learners, replay servers and exporters need no environment package. An observation is always a
flat dict of named arrays: {"observation": x} for a single space, a Dict space's own keys, or
"observation_0", "observation_1", … for a Tuple. `flat_name` says what nested and unusual keys become.
"""

import re
from typing import Any

import msgspec
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


class TaskSpec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A task's observations and actions.

    `num_actions` has one entry per action dimension: (A,) for a Discrete space, where actions are int32[B]
    and Q-values float32[B, A]; (A_1, …, A_D) for branching ones, where actions are int32[B, D].
    Actions count from 0 everywhere in tfdqn; `action_start` is added on the way to the environment.
    """

    id: str
    observation: dict[str, ArraySpec]
    num_actions: tuple[int, ...]
    action_start: tuple[int, ...]
    action_names: tuple[tuple[str, ...], ...] = ()  # for each dimension those that the task itself gives, if any
    action_masks: bool = False
    max_episode_steps: int | None = None

    @property
    def mask_shape(self) -> tuple[int, ...]:
        """One state's legal actions: bool[A]; bool[D, the largest A_d] for branching, padded with False."""
        branches = () if len(self.num_actions) == 1 else (len(self.num_actions),)
        return (*branches, max(self.num_actions))

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2)

    @classmethod
    def from_json(cls, text: bytes) -> "TaskSpec":
        """Raises `msgspec.ValidationError` on anything that `to_json` would not write."""
        return msgspec.json.decode(text, type=cls)


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
    del fields["action_names"]
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
