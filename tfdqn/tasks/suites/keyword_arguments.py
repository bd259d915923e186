"""`task.kwargs`: what is wrong with them, in one line."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfdqn.config.wording import shown
from tfdqn.errors import TaskError

_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a table",
}


def refuse_set_elsewhere(kwargs: Mapping[str, Any], keys: Mapping[str, str]) -> None:
    """Raises TaskError for an argument that a key of its own sets.

    Args:
      kwargs: `task.kwargs`.
      keys: by the names of such arguments.
    """
    for name, key in keys.items():
        if name in kwargs:
            raise TaskError(f"task.kwargs.{name}: set {key} instead")


def refuse_unknown(task_id: str, kwargs: Mapping[str, Any], taken: Sequence[str]) -> None:
    """Raises TaskError for an argument that is none of those that the task takes."""
    if unknown := sorted(set(kwargs) - set(taken)):
        raise TaskError(f"task.kwargs: {task_id} takes no {', '.join(unknown)}; it takes {', '.join(taken) or 'none'}")


def could_not_be_made(
    task_id: str, kwargs: Mapping[str, Any], defaults: Mapping[str, Any], said: str, whole_stay_whole: bool = False
) -> str:
    """The line for a constructor that has failed; it names arguments of another kind than their defaults, if any.

    Args:
      task_id: of the task.
      kwargs: `task.kwargs`.
      defaults: of arguments, as far as they have any.
      said: what it has said.
      whole_stay_whole: as `unlike_defaults`.
    """
    if unlike := unlike_defaults(kwargs, defaults, whole_stay_whole):
        return f"{task_id} could not be made: {unlike}"
    return f"{task_id} could not be made{f' with task.kwargs {dict(kwargs)}' if kwargs else ''}: {said}"


def unlike_defaults(kwargs: Mapping[str, Any], defaults: Mapping[str, Any], whole_stay_whole: bool = False) -> str:
    """Which arguments are of another kind than their defaults, in words; "" where none is.

    "task.kwargs.fee = "a", and its default, 0.1, is a number". With `whole_stay_whole`, no fraction may stand where a
    default is a whole number.
    """
    return "; ".join(
        f"task.kwargs.{name} = {shown(value)}, and its default, {shown(defaults[name])}, is {_KINDS[kind]}"
        for name, value in kwargs.items()
        if (kind := _kind(defaults.get(name), whole_stay_whole)) and not _is_of(kind, value)
    )


def _kind(default: Any, whole_stays_whole: bool) -> type | None:
    """One of `_KINDS`; None if a default tells none."""
    if isinstance(default, tuple | np.ndarray):
        return list
    if isinstance(default, np.generic):
        default = default.item()
    found = next((kind for kind in _KINDS if isinstance(default, kind)), None)
    return float if found is int and not whole_stays_whole else found


def _is_of(kind: type, value: Any) -> bool:
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return isinstance(value, list | tuple if kind is list else kind)
