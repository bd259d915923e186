"""`Suite`: the interface of a source of environments; `describe`: makes a task's `TaskSpec`, for every suite."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from gymnasium import Space
from gymnasium.vector import VectorEnv
from msgspec import structs

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_spec import TaskSpec, check_input_names
from tfdqn.tasks.adapters.actions import action_spec, check_action_names
from tfdqn.tasks.observations import observation_specs

_MIN_LIKENESS = 0.75  # of a misspelt id: Plnt-v0 is Plant-v0, and not Ant-v5
_BINS: dict[str, Any] = {"action_bins": 3}  # the lowest, the middle and the highest value
_BRANCHES: dict[str, Any] = {"action_form": "branches"}
# The keys that a task may need, the fewest first.
_KEYS = {
    "": {},
    "task.action_bins": _BINS,
    'task.action_form = "branches"': _BRANCHES,
    'task.action_bins and task.action_form = "branches"': {**_BINS, **_BRANCHES},
}


class TaskEntry(NamedTuple):
    """A task as `tfdqn tasks` lists it."""

    id: str
    reason: str  # why it can't be used; "": it can
    own_vector_version: bool
    suite: str = "auto"  # the value that `task.suite` must have for it
    needs: str = ""  # the keys that it can't be used without, in words
    is_tried: bool = True  # whether an environment was made, or its spaces read, to find this out


def nearest_ids(name: str, ids: Iterable[str]) -> list[str]:
    """The ids that are near to a name, upper and lower case being the same; at most three, the nearest first."""
    by_lower_case = {each.lower(): each for each in ids}
    return [by_lower_case[each] for each in difflib.get_close_matches(name.lower(), by_lower_case, 3, _MIN_LIKENESS)]


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


def describe(
    task: Task,
    observation_space: Space[Any],
    action_space: Space[Any],
    *,
    action_names: tuple[str, ...] = (),
    max_episode_steps: int | None,
) -> TaskSpec:
    """The `TaskSpec` of a task with these spaces.

    Args:
      observation_space: of one environment, before frames are stacked, without a mask.
      action_names: the task's own names; dropped unless there is one for each action.
      max_episode_steps: the limit after which episodes are truncated; None: there is none.

    Raises TaskError, which names the task, for spaces that can't be learned from.
    """
    try:
        actions = action_spec(action_space, task)
        check_action_names(task.action_names, actions.num_actions)
        observation = observation_specs(observation_space, task.frame_stack)
    except TaskError as error:
        raise TaskError(f"{task.id}: {error}") from None
    check_input_names(task.id, observation, task.action_masks, has_memory=False)
    return TaskSpec(
        id=task.id,
        observation=observation,
        actions=actions,
        action_names=(action_names,) if (len(action_names),) == actions.num_actions else (),
        action_masks=task.action_masks,
        max_episode_steps=max_episode_steps,
    )


def needed_keys(task: Task, observation_space: Space[Any], action_space: Space[Any]) -> str:
    """The keys that must be set for the task to be learned, in words; "" if it needs none.

    Raises TaskError if it can't be learned by any.
    """
    failures = []
    for needed, keys in _KEYS.items():
        try:
            describe(structs.replace(task, **keys), observation_space, action_space, max_episode_steps=None)
            return needed
        except TaskError as error:
            failures.append(error)
    raise failures[0]
