"""A task's spaces → its `TaskSpec`, as the configuration wants them: the one place where any suite has that done."""

from typing import Any

from gymnasium import Space
from msgspec import structs

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.adapters.actions import action_spec, check_action_names
from tfdqn.tasks.observations import observation_specs

_BINS: dict[str, Any] = {"action_bins": 3}  # the fewest that are of any use
_BRANCHES: dict[str, Any] = {"action_form": "branches"}
# What may be needed, the least first.
_KEYS = {
    "": {},
    "task.action_bins": _BINS,
    'task.action_form = "branches"': _BRANCHES,
    'task.action_bins and task.action_form = "branches"': {**_BINS, **_BRANCHES},
}


def describe(
    task: Task,
    observation_space: Space[Any],
    action_space: Space[Any],
    *,
    action_names: tuple[str, ...] = (),
    max_episode_steps: int | None,
) -> TaskSpec:
    """What the task looks like from outside.

    Args:
      task: section of the configuration.
      observation_space: of one environment, before its frames are stacked.
      action_space: of one environment.
      action_names: that the task itself gives; used where there is one for each action.
      max_episode_steps: after which episodes are truncated; None: never.

    Raises TaskError, which names the task, for spaces that can't be learned.
    """
    try:
        actions = action_spec(action_space, task)
        check_action_names(task.action_names, actions.num_actions)
        observation = observation_specs(observation_space, task.frame_stack)
    except TaskError as error:
        raise TaskError(f"{task.id}: {error}") from None
    return TaskSpec(
        id=task.id,
        observation=observation,
        actions=actions,
        action_names=(action_names,) if (len(action_names),) == actions.num_actions else (),
        action_masks=task.action_masks,
        max_episode_steps=max_episode_steps,
    )


def needed_keys(task: Task, observation_space: Space[Any], action_space: Space[Any]) -> str:
    """The keys beside its own without which a task can't be learned, in words; "" where it needs none.

    Raises TaskError if none would do.
    """
    failures = []
    for needed, keys in _KEYS.items():
        try:
            describe(structs.replace(task, **keys), observation_space, action_space, max_episode_steps=None)
            return needed
        except TaskError as error:
            failures.append(error)
    raise failures[0]
