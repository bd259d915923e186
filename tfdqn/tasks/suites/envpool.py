"""EnvPool's environments: games, physics, driving and more, whose batches are stepped by C++ threads.

They are found with `task.suite = "envpool"` by EnvPool's ids, many of which are also gymnasium's: EnvPool has
implementations of its own of these tasks.
"""

import functools
import traceback
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv

from tfdqn.config import Task
from tfdqn.errors import EnvironmentFailedError, PackageMissingError, TaskError, first_line, nearest_are
from tfdqn.system.shell_commands import install_extra, own_command
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.adapters.legal_actions import MaskSource, VectorMasks, has_mask, mask_source, without_masks
from tfdqn.tasks.suites import envpool_envs, packages
from tfdqn.tasks.suites.envpool_envs import Pool, PoolSpec, require_rendering
from tfdqn.tasks.suites.keyword_arguments import could_not_be_made, refuse_set_elsewhere, refuse_unknown
from tfdqn.tasks.suites.suite import Suite, TaskEntry, describe, nearest_ids

_SET_ELSEWHERE = {
    "num_envs": "task.num_envs",
    "max_episode_steps": "task.max_episode_steps",
    envpool_envs.STACK: "task.frame_stack",
    "reward_clip": "task.reward_clip",
    "episodic_life": "task.end_on_life_loss",
}
# Arguments of EnvPool's that would change how a batch is stepped, or what `PoolSpec` says of it.
_REFUSED = (
    "batch_size",
    "seed",
    "env_seed",
    "max_num_players",
    "gym_reset_return_info",
    "base_path",
    "gray_scale",
    "reward_threshold",
)


class EnvPoolSuite(Suite):
    """All tasks of EnvPool."""

    def check(self, task: Task) -> None:
        _checked_spec(task)

    def describe(self, task: Task) -> TaskSpec:
        """No environment is made for it."""
        return _description(task, _checked_spec(task))[0]

    def environments(self, task: Task, render_mode: str | None) -> tuple[TaskSpec, Callable[[], VectorEnv]]:
        """With `task.vectorization = "sync"` one thread steps them."""
        if task.vectorization == "async":
            raise TaskError(f'{task.id}: EnvPool has threads for its environments, not processes: set "own"')
        pool_spec = _checked_spec(task)
        spec, masks = _description(task, pool_spec)
        kwargs = _kwargs(task) if render_mode is None else {**_kwargs(task), "render_mode": render_mode}
        make = functools.partial(_make, task, kwargs)
        if render_mode is not None:
            require_rendering(task.id, make)

        def batch() -> VectorEnv:
            pool = Pool(make, task.num_envs, pool_spec, render_mode)
            return pool if masks is None else VectorMasks(pool, masks, task.id)

        return spec, batch

    def installed(self) -> list[TaskEntry]:
        """Only the ids are listed, since there are more than a thousand."""
        if not envpool_envs.is_installed():
            return []
        return [
            TaskEntry(name, "", own_vector_version=True, suite="envpool", is_tried=False) for name in envpool_envs.ids()
        ]


def _checked_spec(task: Task) -> PoolSpec:
    """What EnvPool says of the task. Raises TaskError if anything is wrong with its id or its keys."""
    if not envpool_envs.is_installed():
        raise PackageMissingError(f"{task.id} needs a package: {install_extra('envpool')}")
    if task.id not in (ids := envpool_envs.ids()):
        raise TaskError(f'EnvPool has no task "{task.id}"; {_nearest(task.id, ids)}')
    try:
        _check_kwargs(task)
        spec = envpool_envs.pool_spec(task.id, _kwargs(task), task.frame_stack)
    except TaskError:
        raise
    except Exception as error:
        raise _cannot_be_made(task, error) from error
    if spec.players > 1:
        raise TaskError(f"{task.id} has {spec.players} players; only tasks with one player can be learned")
    return spec


def _nearest(task_id: str, ids: list[str]) -> str:
    """What to try instead of an unknown id; EnvPool's own have no module before a colon."""
    name = task_id.rpartition(":")[2]
    if name in gymnasium.registry or packages.package_of(name):
        return 'gymnasium has it: leave out task.suite = "envpool"'
    near = nearest_ids(name, ids)
    return nearest_are(near) if near else f"`{own_command(['tasks'])}` lists them"


def _description(task: Task, pool_spec: PoolSpec) -> tuple[TaskSpec, MaskSource | None]:
    """(the task's `TaskSpec`, where its masks are)."""
    place = task.action_mask_source if task.action_masks else None
    if place == "auto":
        place = "observation" if has_mask(pool_spec.frame) else "info"
    if place is not None and place.startswith("method:"):
        raise TaskError(f'{task.id}: task.action_mask_source = "{place}", but EnvPool\'s environments have no methods')
    space = without_masks(pool_spec.frame, place)
    spec = describe(task, space, pool_spec.action, max_episode_steps=pool_spec.max_episode_steps)
    return spec, mask_source(task, place, pool_spec.frame, spec.actions)


def _check_kwargs(task: Task) -> None:
    refuse_set_elsewhere(task.kwargs, _SET_ELSEWHERE)
    taken = [name for name in envpool_envs.defaults(task.id) if name not in (*_REFUSED, *_SET_ELSEWHERE)]
    refuse_unknown(task.id, task.kwargs, taken)


def _kwargs(task: Task) -> dict[str, Any]:
    limit = {"max_episode_steps": task.max_episode_steps} if task.max_episode_steps else {}
    one_thread = {"num_threads": 1} if task.vectorization == "sync" else {}
    return {**one_thread, **task.kwargs, **limit}


def _make(task: Task, kwargs: dict[str, Any], seeds: list[int]) -> Any:
    try:
        return envpool_envs.make_pool(task.id, kwargs, task.frame_stack, seeds)
    except Exception as error:
        raise _cannot_be_made(task, error) from error


def _cannot_be_made(task: Task, error: Exception) -> TaskError:
    details = "".join(traceback.format_exception(error))
    defaults = envpool_envs.defaults(task.id) if task.kwargs else {}
    line = could_not_be_made(task.id, task.kwargs, defaults, first_line(error), whole_stay_whole=True)
    return EnvironmentFailedError(line, details)
