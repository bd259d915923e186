"""Makes gymnasium's environments: one, checked and adapted, or a batch: vectorised, in turn, or in processes."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import FrameStackObservation, OrderEnforcing, TimeLimit

from tfdqn.errors import TaskError
from tfdqn.tasks.adapters.legal_actions import MaskSource, VectorMasks, gives_masks
from tfdqn.tasks.checked_env import CheckedEnv
from tfdqn.tasks.failures import GuardedEnv
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium
from tfdqn.tasks.suites.packages import import_without_banner
from tfdqn.tasks.suites.processes import Processes, start_fork_server


class Recipe(NamedTuple):
    """What is needed to make one environment, in this or another process."""

    task_id: str  # as `task.id` has it, maybe with a module in front: for errors
    env_spec: EnvSpec
    kwargs: dict[str, Any]
    max_episode_steps: int | None  # None: the task's own limit
    frame_stack: int
    masks: MaskSource | None
    render_mode: str | None
    padding: Literal["reset", "zero"] = "reset"  # what fills a stack when an episode begins: its first frame, or zeros
    lives: bool = False  # whether `info["lives"]` is passed on


def make_single(recipe: Recipe, index: int = 0) -> gymnasium.Env:
    """Makes environment `index` of a batch, its answers checked, its frames stacked. Raises what its package raises."""
    import_without_banner(recipe.env_spec.id)
    kwargs = dict(recipe.kwargs)
    if recipe.render_mode is not None:
        kwargs["render_mode"] = recipe.render_mode
    with quiet_gymnasium():
        env = gymnasium.make(
            recipe.env_spec,
            max_episode_steps=recipe.max_episode_steps,
            disable_env_checker=True,  # it checks a single step and prints warnings; `CheckedEnv` checks every step
            **kwargs,
        )
    env = _checked(env, recipe, index)
    if recipe.frame_stack == 1:
        return env
    return FrameStackObservation(env, recipe.frame_stack, padding_type=recipe.padding)


def _checked(env: gymnasium.Env, recipe: Recipe, index: int) -> gymnasium.Env:
    """Puts `CheckedEnv` inside gymnasium's outermost wrappers, which would fail on an answer of a wrong form."""
    if isinstance(env, OrderEnforcing | TimeLimit):
        env.env = _checked(env.env, recipe, index)
        return env
    return CheckedEnv(env, recipe.task_id, index, recipe.masks, recipe.lives)


def make_vector(recipe: Recipe, num_envs: int, vectorization: str) -> VectorEnv:
    """Makes a batch of environments, each of which resets on the step after its episode's end.

    `vectorization` is as `task.vectorization`: "auto", "own", "sync" or "async". Raises TaskError if "own" is not
    possible, and what the environments' package raises.
    """
    if vectorization in ("auto", "own"):
        own = _own_or_why_not(recipe, num_envs)
        if not isinstance(own, str):
            return own
        if vectorization == "own":
            raise TaskError(f'{own}; set task.vectorization to "sync" or "async"')
    makers: list[Callable[[], gymnasium.Env]] = [
        functools.partial(GuardedEnv, functools.partial(make_single, recipe, index)) for index in range(num_envs)
    ]
    # copy=False: `BatchedTask` copies every observation anyway.
    if vectorization == "async":
        # Processes of a fork server inherit neither this process's signal handlers nor locks that TensorFlow's threads
        # may hold; if this process is killed, they read the end of a pipe and exit.
        start_fork_server()
        return Processes(makers, copy=False, context="forkserver")
    return SyncVectorEnv(makers, copy=False)


def _own_or_why_not(recipe: Recipe, num_envs: int) -> VectorEnv | str:
    """The task's own vectorised version, or why it can't be used."""
    if (reason := why_not_own(recipe)) is not None:
        return reason
    own = _make_own(recipe, num_envs)
    if own.metadata.get("autoreset_mode") != AutoresetMode.NEXT_STEP:
        reason = "it does not reset on the step after an episode's end"
    elif recipe.masks is not None and not gives_masks(own, recipe.masks):
        reason = f"its own vectorised version gives no action masks by {recipe.masks.called}"
    if reason is not None:
        own.close()
        return reason
    return own if recipe.masks is None else VectorMasks(own, recipe.masks, recipe.task_id)


def why_not_own(recipe: Recipe) -> str | None:
    """Why the task's own vectorised version can't be used for `recipe`; None if it can, as far as is known here."""
    env_spec = recipe.env_spec
    if env_spec.vector_entry_point is None:
        return "it has no vectorised version of its own"
    if recipe.frame_stack > 1:
        return "its own vectorised version can't stack frames"
    if recipe.lives:
        return "its own vectorised version gives no numbers of lives"
    if recipe.render_mode is not None:
        return "its own vectorised version can't render a single environment"
    if env_spec.additional_wrappers:
        return "its own vectorised version leaves out the wrappers that it is registered with"
    needed = {**env_spec.kwargs, **recipe.kwargs}
    if (recipe.max_episode_steps or env_spec.max_episode_steps) is not None:
        needed["max_episode_steps"] = recipe.max_episode_steps
    unknown = unknown_kwargs(env_spec.vector_entry_point, needed)
    return f"its own vectorised version takes no {', '.join(sorted(unknown))}" if unknown else None


def unknown_kwargs(entry_point: Any, kwargs: dict[str, Any]) -> set[str]:
    """The names in `kwargs` that the constructor does not take."""
    parameters = constructor_parameters(entry_point)
    return set() if parameters is None else set(kwargs) - set(parameters)


def constructor_parameters(entry_point: Any) -> list[str] | None:
    """The keyword arguments that the constructor takes; None if it takes any."""
    parameters = _parameters(entry_point)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters]


def constructor_defaults(entry_point: Any) -> dict[str, Any]:
    """The defaults of the constructor's keyword arguments that have one, by name."""
    return {each.name: each.default for each in _parameters(entry_point) if each.default is not each.empty}


def _parameters(entry_point: Any) -> list[inspect.Parameter]:
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    return list(inspect.signature(creator).parameters.values())


def _make_own(recipe: Recipe, num_envs: int) -> VectorEnv:
    kwargs = dict(recipe.kwargs)
    if recipe.max_episode_steps is not None:
        kwargs["max_episode_steps"] = recipe.max_episode_steps
    with quiet_gymnasium():
        return gymnasium.make_vec(recipe.env_spec, num_envs, vectorization_mode="vector_entry_point", **kwargs)
