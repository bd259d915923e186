"""gymnasium's tasks: finds them by id, describes and makes them; every failure is an error of one line."""

import contextlib
import functools
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec, find_highest_version, get_env_id, parse_env_id
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector import VectorEnv

from tfdqn.config import Task
from tfdqn.errors import EnvironmentFailedError, PackageMissingError, TaskError, nearest_are, one_line
from tfdqn.system.shell_commands import install_extra, own_command
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.adapters.actions import action_names
from tfdqn.tasks.adapters.legal_actions import MaskSource, find_masks, mask_source, without_masks
from tfdqn.tasks.checked_env import bare
from tfdqn.tasks.failures import failure_line
from tfdqn.tasks.observations import observation_bytes
from tfdqn.tasks.suites import envpool_envs, gymnasium_envs, packages
from tfdqn.tasks.suites.gymnasium_envs import Recipe
from tfdqn.tasks.suites.keyword_arguments import (
    could_not_be_made,
    refuse_set_elsewhere,
    refuse_unknown,
    unlike_defaults,
)
from tfdqn.tasks.suites.processes import require_room
from tfdqn.tasks.suites.suite import Suite, TaskEntry, describe, nearest_ids, needed_keys
from tfdqn.tasks.warnings import warn_once

log = logging.getLogger(__name__)

_SET_ELSEWHERE = {"max_episode_steps": "task.max_episode_steps", "num_envs": "task.num_envs"}
_TAKES_NO_MODE = "its constructor takes no argument render_mode"
_NO_RENDER_MODE = "unexpected keyword argument 'render_mode'"  # in an error of Python


class _EnvDescription(NamedTuple):
    """What one environment says of its task."""

    spec: TaskSpec
    frame_bytes: int  # of one observation in the space's dtypes, before frames are stacked
    masks: MaskSource | None


class GymnasiumSuite(Suite):
    """All tasks in gymnasium's registry, and those that known packages register there."""

    def check(self, task: Task) -> None:
        _check_kwargs(_recipe(task, None))

    def describe(self, task: Task) -> TaskSpec:
        return _describe_env(task, _recipe(task, None)).spec

    def environments(self, task: Task, render_mode: str | None) -> tuple[TaskSpec, Callable[[], VectorEnv]]:
        recipe = _recipe(task, render_mode)
        _warn_if_out_of_date(recipe.env_spec.id)
        description = _describe_env(task, recipe)
        if unlike := unlike_defaults(recipe.kwargs, _defaults(recipe)):
            warn_once(f"{task.id}: {unlike}")
        if task.vectorization == "async":
            require_room(task.id, recipe.frame_stack * description.frame_bytes, task.num_envs)
        return description.spec, functools.partial(_make_vector, task, recipe._replace(masks=description.masks))

    def installed(self) -> list[TaskEntry]:
        """The latest version of each task in the registry; all versions where they are variants, as MinAtar's are."""
        for package in packages.PACKAGES:
            if packages.is_installed(package):
                try:
                    packages.register(package)
                except Exception as error:
                    log.warning("%s is installed but can't be imported: %s", package.module, one_line(error))
        entries = []
        for env_spec in list(gymnasium.registry.values()):
            latest = find_highest_version(env_spec.namespace, env_spec.name)
            if packages.has_own_suite(env_spec) or (
                env_spec.version != latest and not packages.has_variants(env_spec.id)
            ):
                continue
            entries.append(_entry(env_spec))
        return entries


def _entry(env_spec: EnvSpec) -> TaskEntry:
    task = Task(id=env_spec.id)
    needs = reason = ""
    try:
        with _probe(_recipe(task, None)) as env:
            needs = needed_keys(task, env.observation_space, env.action_space)
    except TaskError as error:
        reason = str(error).removeprefix(f"{env_spec.id}: ").removeprefix(f"{env_spec.id} ")
    return TaskEntry(env_spec.id, reason, env_spec.vector_entry_point is not None, needs=needs)


def _make_vector(task: Task, recipe: Recipe) -> VectorEnv:
    try:
        return gymnasium_envs.make_vector(recipe, task.num_envs, task.vectorization)
    except TaskError as error:
        raise TaskError(f"{task.id}: {error}") from None
    except (Exception, SystemExit) as error:
        raise _cannot_be_made(recipe, error) from error


def _recipe(config: Task, render_mode: str | None) -> Recipe:
    env_spec = find_env_spec(config.id)
    refuse_set_elsewhere(config.kwargs, _SET_ELSEWHERE)
    return Recipe(
        task_id=config.id,
        env_spec=env_spec,
        kwargs=config.kwargs,
        max_episode_steps=config.max_episode_steps or None,
        frame_stack=config.frame_stack,
        masks=None,  # found by looking at one environment, in `_describe_env`
        render_mode=render_mode,
        lives=config.end_on_life_loss,
    )


def find_env_spec(task_id: str) -> EnvSpec:
    """The registered task of an id, or its latest version where the id has none; a known package is imported first.

    A user's module before a colon must have been imported. Raises TaskError if there is no such task.
    """
    module, _, name = task_id.rpartition(":")
    found = _registered(name)
    package = packages.package_of(name)
    if found is None and package is not None and packages.is_installed(package):
        try:
            packages.register(package)
        except Exception as error:
            raise TaskError(f"{task_id}: importing {package.module} failed: {one_line(error)}") from error
        found = _registered(name)
    elif found is None and package is not None and not module:  # a module of the user's may have ids like a package's
        raise PackageMissingError(f"{task_id} needs a package: {install_extra(package.extra)}")
    if found is None:
        raise TaskError(f'unknown task "{task_id}"; {_nearest(task_id)}')
    return found


def _warn_if_out_of_date(registered_id: str) -> None:
    if packages.has_variants(registered_id):
        return
    namespace, name, version = parse_env_id(registered_id)
    latest = find_highest_version(namespace, name)
    if version is not None and latest is not None and latest > version:
        newer = get_env_id(namespace, name, latest)
        warn_once(f"{registered_id} is out of date; its maintainers recommend {newer}")


def _registered(name: str) -> EnvSpec | None:
    """The registered task of that id, or its latest version where the id has none; None if there is no such."""
    if name in gymnasium.registry:
        return gymnasium.registry[name]
    try:
        namespace, base_name, version = parse_env_id(name)
    except gymnasium.error.Error:
        return None
    latest = find_highest_version(namespace, base_name) if version is None else None
    return None if latest is None else gymnasium.registry[get_env_id(namespace, base_name, latest)]


def _nearest(task_id: str) -> str:
    """What to try instead of an unknown id, with the module before its colon, which may be what registers it."""
    module, colon, name = task_id.rpartition(":")
    near = nearest_ids(name, gymnasium.registry)
    found = [nearest_are([module + colon + each for each in near])] if near else []
    if envpool_envs.is_installed() and name in envpool_envs.ids():
        found.append('EnvPool has it: task.suite = "envpool"')
    if found:
        return "; ".join(found)
    if module:
        return f"{module} registers no {name}" if name else f"its name is missing, as in {module}:Name-v0"
    listed = f"`{own_command(['tasks'])}` lists those that are installed"
    return f"{listed}; those of your own need their module, as in my_envs:Name-v0"


def _describe_env(config: Task, recipe: Recipe) -> _EnvDescription:
    """Makes one environment, looks at it, and closes it. Raises TaskError if it can't be made or learned from."""
    with _probe(recipe._replace(frame_stack=1)) as env:
        place = find_masks(config, bare(env))
        space = without_masks(env.observation_space, place)
        spec = describe(
            config,
            space,
            env.action_space,
            action_names=action_names(env),
            max_episode_steps=recipe.max_episode_steps or recipe.env_spec.max_episode_steps,
        )
        masks = mask_source(config, place, env.observation_space, spec.actions)
        return _EnvDescription(spec, observation_bytes(space), masks)


@contextlib.contextmanager
def _probe(recipe: Recipe) -> Iterator[Any]:
    """Makes one environment, and closes it when the block ends; what its `close` raises is ignored.

    Raises TaskError, one line, if it can't be made or rendered.
    """
    env = _made(recipe)
    try:
        modes = env.metadata.get("render_modes") or ()
        if recipe.render_mode is not None and recipe.render_mode not in modes:
            raise _cannot_be_rendered(recipe, f"it offers {', '.join(modes)}" if modes else "it has no render modes")
        yield env
    finally:
        with contextlib.suppress(Exception, SystemExit):
            env.close()


def _made(recipe: Recipe) -> Any:
    """One environment. Raises TaskError, one line, if it can't be made."""
    env_spec = recipe.env_spec
    if env_spec.entry_point is None:
        raise TaskError(f"{recipe.task_id} registers no single environment, only a vector version")
    try:
        _check_kwargs(recipe)
        env = gymnasium_envs.make_single(recipe)
        for space in ("observation_space", "action_space"):
            getattr(env, space)  # which one's own class may lack
    except TaskError:
        raise
    except (Exception, SystemExit) as error:
        if recipe.render_mode is not None and _NO_RENDER_MODE in str(error):  # of what the entry point has called
            raise _cannot_be_rendered(recipe, _TAKES_NO_MODE) from error
        raise _cannot_be_made(recipe, error) from error
    return env


def _check_kwargs(recipe: Recipe) -> None:
    """Raises TaskError for an argument that the constructor doesn't take; its own error wouldn't say what it takes."""
    entry_point = recipe.env_spec.entry_point
    taken = None
    with contextlib.suppress(Exception):  # what can't be imported is reported where an environment is made
        taken = gymnasium_envs.constructor_parameters(entry_point) if recipe.kwargs else None
    if taken is not None:
        refuse_unknown(recipe.task_id, recipe.kwargs, taken)
    if recipe.render_mode and gymnasium_envs.unknown_kwargs(entry_point, {"render_mode": recipe.render_mode}):
        raise _cannot_be_rendered(recipe, _TAKES_NO_MODE)


def _cannot_be_rendered(recipe: Recipe, why: str) -> TaskError:
    return TaskError(
        f"{recipe.task_id} can't be rendered as {recipe.render_mode}: {why} (docs/your_task.md says what a video needs)"
    )


def _cannot_be_made(recipe: Recipe, error: BaseException) -> TaskError:
    task_id = recipe.task_id
    if isinstance(error, ImportError | DependencyNotInstalled):
        return TaskError(f"{task_id} needs a package: {packages.install_hint(recipe.env_spec, error)}")
    details = "".join(traceback.format_exception(error))
    said = failure_line(error).partition(" was raised from the environment creator for ")[0]
    return EnvironmentFailedError(could_not_be_made(task_id, recipe.kwargs, _defaults(recipe), said), details)


def _defaults(recipe: Recipe) -> dict[str, Any]:
    """The default values of the constructor's arguments, without those of a class that can't be imported."""
    defaults = {}
    with contextlib.suppress(Exception):
        defaults = gymnasium_envs.constructor_defaults(recipe.env_spec.entry_point)
    return {**defaults, **recipe.env_spec.kwargs}
