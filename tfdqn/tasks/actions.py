"""What a task calls its actions."""

from collections.abc import Sequence
from typing import Any

import gymnasium

from tfdqn.errors import TaskError


def action_names(env: gymnasium.Env[Any, Any]) -> tuple[str, ...]:
    """The names that a task gives by `get_action_meanings()`, as Atari's do; () where it gives none."""
    meanings = getattr(env.unwrapped, "get_action_meanings", None)
    return tuple(str(each) for each in meanings()) if callable(meanings) else ()


def check_action_names(names: Sequence[str], num_actions: int) -> None:
    """Raises TaskError where the user's names are not one for each action."""
    if names and len(names) != num_actions:
        raise TaskError(f"task.action_names has {len(names)} names; the task has {num_actions} actions")
    if twice := {name for name in names if names.count(name) > 1}:
        raise TaskError(f"task.action_names has {', '.join(sorted(twice))} more than once")
