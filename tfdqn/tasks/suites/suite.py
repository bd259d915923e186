"""`Suite`: the interface of a source of environments."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from gymnasium.vector import VectorEnv

from tfdqn.config import Task
from tfdqn.task_spec import TaskSpec


class TaskEntry(NamedTuple):
    """A task as `tfdqn tasks` lists it."""

    id: str
    reason: str  # why it can't be used; "": it can
    own_vector_version: bool
    suite: str = "auto"  # the value that `task.suite` must have for it
    needs: str = ""  # the keys that it can't be used without, in words
    is_tried: bool = True  # whether an environment was made, or its spaces read, to find this out


class Suite(Protocol):
    """A source of environments. Its methods raise TaskError, one line, for anything wrong with a task or its keys.

    `task.id` may begin with a user's module and a colon, "my_package.my_envs:…"; it has been imported.
    """

    def check(self, task: Task) -> None:
        """Raises TaskError if there is no such task, or it can't have the keys of `task`; makes no environment."""

    def describe(self, task: Task) -> TaskSpec:
        """The task's `TaskSpec`; an environment may be made for that, and is closed."""

    def environments(self, task: Task, render_mode: str | None) -> tuple[TaskSpec, Callable[[], VectorEnv]]:
        """(the task's `TaskSpec`, a function that makes `task.num_envs` environments, at every call new ones).

        They reset on the step after an episode's end, and give their masks, if the task has such, in
        `info["action_mask"]`, bool[E, A] or [E, D, A]. With a `render_mode`, one of gymnasium's, environment 0 can be
        rendered.
        """

    def installed(self) -> list[TaskEntry]:
        """All tasks of this source whose packages are installed; [] if they are not."""
