"""Discrete actions, which count from 0 everywhere in tfdqn: their number, their first in the task, their names."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import Space, spaces

from tfdqn.errors import TaskError
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.observations import show


def discrete_actions(space: Space[Any]) -> tuple[int, int]:
    """(number of actions, first action) of a Discrete space; raises `TaskError` for any other."""
    if not isinstance(space, spaces.Discrete):
        raise TaskError(f"actions are {show(space)}, but only Discrete actions can be learned")
    count, start = np.asarray(space.n), np.asarray(space.start)
    return int(count), int(start)


def to_environment(spec: TaskSpec) -> Callable[[np.ndarray], np.ndarray] | None:
    """int32[E] from 0 → the task's own actions; None where they are the same."""
    start = spec.action_start[0]
    return (lambda actions: actions + start) if start else None


def action_names(env: gymnasium.Env[Any, Any]) -> tuple[str, ...]:
    """The names that a task gives by `get_action_meanings()`, as Atari's do; () where it gives none."""
    meanings = getattr(env.unwrapped, "get_action_meanings", None)
    return tuple(str(each) for each in meanings()) if callable(meanings) else ()


def check_action_names(names: Sequence[str], num_actions: int) -> None:
    """Raises TaskError where the user's names are not one for each action."""
    if names and len(names) != num_actions:
        raise TaskError(
            f"task.action_names must have one name for each action: it has {len(names)}, and the task {num_actions}"
        )
    if twice := {name for name in names if names.count(name) > 1}:
        raise TaskError(f"task.action_names has {', '.join(sorted(twice))} more than once")
