"""What has changed between the specification of a run's task and that of the task now, in words."""

from typing import Any

import msgspec

from tfdqn.task_spec import ArraySpec, TaskSpec


def differences(before: TaskSpec, now: TaskSpec) -> str:
    """The differences between the specifications of a run and of its task now, in words, on one line; "": none.

    Fields that nothing is learned from don't count. Nor does it count if `before` has no `high` for an image: earlier
    versions scaled only bytes, and networks that have learned from unscaled images continue with `before`.
    """
    found = []
    for name in before.observation | now.observation:
        found += _part_differences(f'observation "{name}"', before.observation.get(name), now.observation.get(name))
    found += _field_differences("", _fields(before), _fields(now))
    return " ".join("; ".join(found).split())


def in_words(part: ArraySpec) -> str:
    """The type and the shape of a part of an observation, such as "float32[2]", and its categories."""
    kind = f"{part.dtype}{list(part.shape)}"
    last = part.start + part.categories - 1
    return f"{kind} of {part.start} to {last}" if part.categories else kind


def _part_differences(name: str, before: ArraySpec | None, now: ArraySpec | None) -> list[str]:
    words, words_before = ("absent" if part is None else in_words(part) for part in (now, before))
    if words != words_before:
        return [f"{name} is {words}, not {words_before}"]
    one, other = msgspec.to_builtins(before), msgspec.to_builtins(now)
    if not one["high"]:
        other["high"] = one["high"]
    del one["bounds"]
    return _field_differences(f"{name}: ", one, other)


def _field_differences(start: str, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    changed = (key for key in before if before[key] != now[key])
    return [f"{start}{key} is {now[key]}, not {before[key]}" for key in changed]


def _fields(spec: TaskSpec) -> dict[str, Any]:
    """What is learned from a task, but for its observation."""
    fields = msgspec.to_builtins(spec)
    fields |= {f"actions.{key}": value for key, value in fields.pop("actions").items()}
    # The dtype only matters when an action is passed on.
    del fields["observation"], fields["action_names"], fields["actions.dtype"]
    return fields
