"""Checks of `task.kwargs`, and errors that name the wrong argument in one line."""

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
    """Raises TaskError for an argument that is set by another key; `keys` are those keys by the argument's name."""
    for name, key in keys.items():
        if name in kwargs:
            raise TaskError(f"task.kwargs.{name}: set {key} instead")


def refuse_unknown(task_id: str, kwargs: Mapping[str, Any], taken: Sequence[str]) -> None:
    """Raises TaskError for an argument in `kwargs` that is not among those that the task takes."""
    if unknown := sorted(set(kwargs) - set(taken)):
        raise TaskError(f"task.kwargs: {task_id} takes no {', '.join(unknown)}; it takes {', '.join(taken) or 'none'}")


def could_not_be_made(
    task_id: str, kwargs: Mapping[str, Any], defaults: Mapping[str, Any], said: str, whole_stay_whole: bool = False
) -> str:
    """The error, one line, for a constructor that has failed. It names arguments of the wrong kind, if there are any.

    `said` is the constructor's own error, shown if there are none. `whole_stay_whole` is as in `unlike_defaults`.
    """
    if unlike := unlike_defaults(kwargs, defaults, whole_stay_whole):
        return f"{task_id} could not be made: {unlike}"
    return f"{task_id} could not be made{f' with task.kwargs {dict(kwargs)}' if kwargs else ''}: {said}"


def unlike_defaults(kwargs: Mapping[str, Any], defaults: Mapping[str, Any], whole_stay_whole: bool = False) -> str:
    """The arguments that are of another kind than their defaults, in words; "" if there are none.

    For example 'task.kwargs.fee = "a", but its default, 0.1, is a number'. With `whole_stay_whole`, a fraction is of
    another kind than a default that is a whole number.
    """
    return "; ".join(
        f"task.kwargs.{name} = {shown(value)}, but its default, {shown(defaults[name])}, is {_KINDS[kind]}"
        for name, value in kwargs.items()
        if (kind := _kind(defaults.get(name), whole_stay_whole)) and not _is_of(kind, value)
    )


def _kind(default: Any, whole_stays_whole: bool) -> type | None:
    """The kind of a default, one of `_KINDS`; None if it has none of these, as None has."""
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
