"""Tasks by id: found, checked, made; every way in which that can fail is one line."""

import difflib
import functools
import importlib
import logging
import os
import sys
import traceback
from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec, find_highest_version, get_env_id, parse_env_id
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector import VectorEnv

from tfdqn import config as configuration
from tfdqn.errors import EnvironmentFailedError, TaskError, one_line
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.actions import action_names, check_action_names
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.observations import discrete_actions, observation_bytes, observation_specs
from tfdqn.tasks.restarts import Restarts
from tfdqn.tasks.suites import gymnasium as gymnasium_suite
from tfdqn.tasks.suites import packages
from tfdqn.tasks.suites.gymnasium import Recipe
from tfdqn.tasks.suites.shared_memory import require_room

# pygame greets on standard output when an environment that draws is imported.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# It opens a sound card too, and ALSA complains in C where there is none; no task is heard.
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")

log = logging.getLogger(__name__)

_SET_ELSEWHERE = {"max_episode_steps": "task.max_episode_steps", "num_envs": "task.num_envs"}


class TaskEntry(NamedTuple):
    """One line of `tfdqn tasks`."""

    id: str
    reason: str  # why it can't be used; empty: it can
    own_vector_version: bool

    @property
    def usable(self) -> bool:
        return not self.reason


def check_task(config: configuration.Task) -> None:
    """Raises `TaskError` where the task is not registered or takes no such keyword arguments; makes nothing."""
    _recipe(config, None)


def make_task(
    config: configuration.Task,
    *,
    num_envs: int | None = None,
    render_mode: str | None = None,
    restarts: Restarts | None = None,
) -> BatchedTask:
    """The task, ready to be reset. With a `render_mode`, one environment in this process unless told.

    Args:
      config: of the task.
      num_envs: None: as the configuration says.
      render_mode: as gymnasium has it; None: it will not be rendered.
      restarts: says whether environments that fail are made anew; None: a failure is raised.

    Raises `TaskError`, one line, for all that can be wrong with the task or its keys.
    """
    recipe = _recipe(config, render_mode)
    _warn_if_out_of_date(recipe.env_spec.id)
    spec, frame_bytes = _looked_at(config, recipe)
    vectorization = config.vectorization if render_mode is None else "sync"
    if num_envs is None:
        num_envs = config.num_envs if render_mode is None else 1
    if vectorization == "async":
        require_room(spec.id, recipe.frame_stack * frame_bytes, num_envs)
    make = functools.partial(_make_vector, config.id, recipe, num_envs, vectorization)
    return BatchedTask(make, spec, restarts or Restarts())


def _make_vector(task_id: str, recipe: Recipe, num_envs: int, vectorization: str) -> VectorEnv:
    try:
        return gymnasium_suite.make_vector(recipe, num_envs, vectorization)
    except TaskError as error:
        raise TaskError(f"{task_id}: {error}") from None
    except (Exception, SystemExit) as error:
        raise _cannot_be_made(recipe, error) from error


def resolve_spec(config: configuration.Task) -> TaskSpec:
    """What the task looks like, from one environment that is made and closed. Raises `TaskError`."""
    return _looked_at(config, _recipe(config, None))[0]


def installed_tasks() -> list[TaskEntry]:
    """The latest version of every task that is registered here or by a known package, by id."""
    for package in packages.PACKAGES:
        if packages.is_installed(package):
            try:
                packages.register(package)
            except Exception as error:
                log.warning("%s is installed but can't be imported: %s", package.module, one_line(error))
    entries = []
    for env_spec in list(gymnasium.registry.values()):
        if env_spec.version != find_highest_version(env_spec.namespace, env_spec.name):
            continue
        reason = ""
        try:
            resolve_spec(configuration.Task(id=env_spec.id))
        except TaskError as error:
            reason = str(error).removeprefix(f"{env_spec.id}: ").removeprefix(f"{env_spec.id} ")
        entries.append(TaskEntry(env_spec.id, reason, env_spec.vector_entry_point is not None))
    return sorted(entries)


def _recipe(config: configuration.Task, render_mode: str | None) -> Recipe:
    env_spec = _find(config.id)
    for name, key in _SET_ELSEWHERE.items():
        if name in config.kwargs:
            raise TaskError(f"task.kwargs.{name}: set {key} instead")
    return Recipe(
        env_spec=env_spec,
        kwargs=config.kwargs,
        max_episode_steps=config.max_episode_steps or None,
        frame_stack=config.frame_stack,
        action_masks=config.action_masks,
        render_mode=render_mode,
    )


def _find(task_id: str) -> EnvSpec:
    """The registered task; a module before a colon, or a known package, is imported first."""
    module, _, name = task_id.rpartition(":")
    if module:
        _import_user_module(task_id, module)
    found = _registered(name)
    package = packages.package_of(name)
    if found is None and package is not None:
        if not packages.is_installed(package):
            raise TaskError(f'{task_id} needs a package: pip install "{package.requirement}"')
        try:
            packages.register(package)
        except Exception as error:
            raise TaskError(f"{task_id}: importing {package.module} failed: {one_line(error)}") from error
        found = _registered(name)
    if found is None:
        raise TaskError(f'unknown task "{task_id}"; {_nearest(name)}')
    return found


@functools.cache
def _warn_if_out_of_date(registered_id: str) -> None:
    """Once in a process, however often the task is made."""
    namespace, name, version = parse_env_id(registered_id)
    latest = find_highest_version(namespace, name)
    if version is not None and latest is not None and latest > version:
        newer = get_env_id(namespace, name, latest)
        log.warning("%s is out of date; its maintainers recommend %s", registered_id, newer)


def _registered(name: str) -> EnvSpec | None:
    """The task of that id, or its latest version where the id has none."""
    if name in gymnasium.registry:
        return gymnasium.registry[name]
    try:
        namespace, bare, version = parse_env_id(name)
    except gymnasium.error.Error:
        return None
    latest = find_highest_version(namespace, bare) if version is None else None
    return None if latest is None else gymnasium.registry[get_env_id(namespace, bare, latest)]


def _nearest(name: str) -> str:
    by_lower_case = {known.lower(): known for known in gymnasium.registry}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=3, cutoff=0.6)
    if not near:
        return "`tfdqn tasks` lists those that are installed"
    return f"the nearest are {', '.join(by_lower_case[known] for known in near)}"


def _import_user_module(task_id: str, module: str) -> None:
    if os.getcwd() not in sys.path:  # as `python -m` has it; a console script does not
        sys.path.insert(0, os.getcwd())
    try:
        with gymnasium_suite.quiet_gymnasium():
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise TaskError(
                f'{task_id}: there is no module "{error.name}" in {os.getcwd()} or among the installed ones'
            ) from error
        raise TaskError(f'{task_id}: {module} needs "{error.name}", which is not installed') from error
    except Exception as error:
        raise TaskError(f"{task_id}: importing {module} failed: {one_line(error)}") from error


def _looked_at(config: configuration.Task, recipe: Recipe) -> tuple[TaskSpec, int]:
    """Read off one environment before its frames are stacked; and the bytes of a frame."""
    env_spec = recipe.env_spec
    env = _probe(recipe._replace(frame_stack=1))
    try:
        num_actions, action_start = discrete_actions(env.action_space)
        check_action_names(config.action_names, num_actions)
        names = action_names(env)
        observation = observation_specs(env.observation_space, recipe.frame_stack)
        frame_bytes = observation_bytes(env.observation_space)
    except TaskError as error:
        raise TaskError(f"{config.id}: {error}") from None
    finally:
        env.close()
    spec = TaskSpec(
        id=config.id,
        observation=observation,
        num_actions=(num_actions,),
        action_start=(action_start,),
        action_names=(names,) if len(names) == num_actions else (),
        action_masks=config.action_masks,
        max_episode_steps=recipe.max_episode_steps or env_spec.max_episode_steps,
    )
    return spec, frame_bytes


def _probe(recipe: Recipe) -> Any:
    """One environment, every failure to make it turned into one line."""
    env_spec = recipe.env_spec
    if env_spec.entry_point is None:
        raise TaskError(f"{env_spec.id} registers no single environment, only a vector version")
    try:
        _check_kwargs(recipe)
        env = gymnasium_suite.make_single(recipe)
    except TaskError:
        raise
    except (Exception, SystemExit) as error:
        raise _cannot_be_made(recipe, error) from error
    modes = env.metadata.get("render_modes") or ()
    if recipe.render_mode is not None and recipe.render_mode not in modes:
        env.close()
        raise _cannot_be_rendered(recipe, ", ".join(modes))
    return env


def _check_kwargs(recipe: Recipe) -> None:
    """Before the constructor is called, whose own complaint would not say what it does take."""
    entry_point = recipe.env_spec.entry_point
    unknown = gymnasium_suite.unknown_kwargs(entry_point, recipe.kwargs)
    if unknown:
        taken = gymnasium_suite.constructor_parameters(entry_point) or ["none"]
        raise TaskError(
            f"task.kwargs: {recipe.env_spec.id} takes no {', '.join(sorted(unknown))}; "
            f"it takes {', '.join(taken)}"
        )
    if recipe.render_mode and gymnasium_suite.unknown_kwargs(
        entry_point, {"render_mode": recipe.render_mode}
    ):
        raise _cannot_be_rendered(recipe, "")


def _cannot_be_rendered(recipe: Recipe, modes: str) -> TaskError:
    return TaskError(
        f"{recipe.env_spec.id} can't be rendered as {recipe.render_mode}; it offers {modes or 'none'}"
    )


def _cannot_be_made(recipe: Recipe, error: BaseException) -> TaskError:
    task_id = recipe.env_spec.id
    if isinstance(error, ImportError | DependencyNotInstalled):
        return TaskError(f"{task_id} needs a package: {packages.install_hint(recipe.env_spec, error)}")
    given = f" with task.kwargs {recipe.kwargs}" if recipe.kwargs else ""
    details = "".join(traceback.format_exception(error))
    return EnvironmentFailedError(f"{task_id} could not be made{given}: {one_line(error)}", details)
