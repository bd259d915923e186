"""`Suite`: what the registry needs of a source of environments."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from gymnasium.vector import VectorEnv

from tfdqn.config import Task
from tfdqn.task_spec import TaskSpec


class TaskEntry(NamedTuple):
    """One line of `tfdqn tasks`."""

    id: str
    reason: str  # why it can't be used; empty: it can
    own_vector_version: bool
    suite: str = "auto"  # the value of `task.suite` by which it is found
    needs: str = ""  # keys without which it can't be used
    is_tried: bool = True  # whether anything but its id was looked at


class Suite(Protocol):
    """A source of environments. Whatever can be wrong with a task or its keys is a TaskError, one line.

    `task.id` may begin with a module of the user's, "my_package.my_envs:…", which has been imported.
    """

    def check(self, task: Task) -> None:
        """Raises TaskError if there is no such task, or it can't have what `task` says; makes nothing."""

    def describe(self, task: Task) -> TaskSpec:
        """What it looks like: an environment may be made for that, and is closed."""

    def environments(self, task: Task, render_mode: str | None) -> tuple[TaskSpec, Callable[[], VectorEnv]]:
        """What it looks like, and a function that makes `task.num_envs` environments, again where they have failed.

        They reset on the step after an episode's end, and give their masks, where the task has them, in
        `info["action_mask"]`, bool[E, A]. With a `render_mode`, as gymnasium has it, the first can be rendered.
        """

    def installed(self) -> list[TaskEntry]:
        """All that can be named here, with the reason why not where one can't be learned."""
