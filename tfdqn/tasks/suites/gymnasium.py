"""Which vector environment steps a task: the task's own, one by one in this process, or a process each."""

import contextlib
import functools
import inspect
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import FrameStackObservation, OrderEnforcing, TimeLimit

from tfdqn.errors import TaskError
from tfdqn.tasks.checked_env import CheckedEnv
from tfdqn.tasks.guarded_env import GuardedEnv

_ENDS_SECONDS = 2.0  # in which an environment's process ends by itself
# What a terminal or a scheduler may send to a whole process group: the run alone answers, and ends its environments.
_FOR_THE_RUN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Recipe(NamedTuple):
    """All that is needed to make one environment, here or in another process."""

    env_spec: EnvSpec
    kwargs: dict[str, Any]
    max_episode_steps: int | None  # None: the task's own limit
    frame_stack: int
    action_masks: bool
    render_mode: str | None


_being_quiet = threading.RLock()


def _forget_other_threads() -> None:
    global _being_quiet
    _being_quiet = threading.RLock()


# A forked environment has none of the threads that may have held it.
os.register_at_fork(after_in_child=_forget_other_threads)


@contextlib.contextmanager
def quiet_gymnasium() -> Iterator[None]:
    """Keeps gymnasium's and pygame's notices off the user's terminal, and other warnings on it.

    One thread at a time: what is changed is the process's, and two that overlap would each put back the other's.
    """
    with _being_quiet:
        level = gymnasium.logger.min_level
        gymnasium.logger.min_level = gymnasium.logger.ERROR + 1
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=DeprecationWarning)
                warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
                yield
        finally:
            gymnasium.logger.min_level = level


def make_guarded(recipe: Recipe, index: int) -> gymnasium.Env:
    """As `make_single`, and its later errors are told of instead of raised."""
    return GuardedEnv(functools.partial(make_single, recipe, index))


def make_single(recipe: Recipe, index: int = 0) -> gymnasium.Env:
    """Environment `index` of the task, its answers checked, frames stacked; its own errors pass through."""
    if multiprocessing.parent_process() is not None:
        _leave_signals_to_the_run()
    kwargs = dict(recipe.kwargs)
    if recipe.render_mode is not None:
        kwargs["render_mode"] = recipe.render_mode
    with quiet_gymnasium():
        env = gymnasium.make(
            recipe.env_spec,
            max_episode_steps=recipe.max_episode_steps,
            disable_env_checker=True,  # it warns on the terminal, of one step; `CheckedEnv` looks at each
            **kwargs,
        )
    checked = _checked(env, recipe, index)
    return checked if recipe.frame_stack == 1 else FrameStackObservation(checked, recipe.frame_stack)


def _checked(env: gymnasium.Env, recipe: Recipe, index: int) -> gymnasium.Env:
    """Checked inside gymnasium's own wrappers, which change no observation but take an answer's form for granted."""
    if isinstance(env, OrderEnforcing | TimeLimit):
        env.env = _checked(env.env, recipe, index)
        return env
    return CheckedEnv(env, recipe.env_spec.id, index, recipe.action_masks)


class Processes(AsyncVectorEnv):
    """An environment in each process; an error of one is raised here, and its traceback printed nowhere."""

    def ended(self) -> list[str]:
        """Which processes have ended, and how, in words: what stands behind a pipe that breaks."""
        deadline = time.monotonic() + _ENDS_SECONDS  # the pipe breaks a moment earlier
        while not any(process.exitcode is not None for process in self.processes):
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        return [
            f"environment {index}'s process has ended ({_how(process.exitcode)})"
            for index, process in enumerate(self.processes)
            if process.exitcode is not None
        ]

    def close_extras(self, timeout: float | None = None, terminate: bool = False, **_: Any) -> None:
        """Asks every process to end, and ends those that do not: one may hang, another be in the midst of a step.

        With `terminate`, as gymnasium has it where nobody closed it, waits for none.
        """
        pipes = [pipe for pipe in self.parent_pipes if pipe is not None and not pipe.closed]
        for pipe in pipes:
            with contextlib.suppress(OSError):  # of one that has ended
                pipe.send(("close", None))
        deadline = time.monotonic() + (0.0 if terminate else _ENDS_SECONDS)
        for process in self.processes:
            process.join(max(deadline - time.monotonic(), 0.0))
            if process.exitcode is None:
                process.kill()
                process.join(_ENDS_SECONDS)
        for pipe in pipes:
            pipe.close()

    def _raise_if_errors(self, successes: Any) -> None:
        with quiet_gymnasium():
            super()._raise_if_errors(successes)


def _how(exit_code: int | None) -> str:
    return (
        f"exit status {exit_code}"
        if exit_code is not None and exit_code >= 0
        else f"signal {-(exit_code or 0)}"
    )


def make_vector(recipe: Recipe, num_envs: int, vectorization: str) -> VectorEnv:
    """`vectorization`: auto, own, sync or async. Every kind resets on the step after an episode's end."""
    if vectorization in ("auto", "own"):
        reason = why_not_own(recipe)
        if reason is None:
            own = _make_own(recipe, num_envs)
            if own.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP:
                return own
            own.close()
            reason = "it does not reset on the step after an episode's end"
        if vectorization == "own":
            raise TaskError(f'{reason}; set task.vectorization to "sync" or "async"')
    makers: list[Callable[[], gymnasium.Env]] = [
        functools.partial(make_guarded, recipe, index) for index in range(num_envs)
    ]
    # BatchedTask copies observations once, so gymnasium need not.
    if vectorization == "async":
        # A fork server's children inherit neither this process's signal handlers nor the locks that
        # TensorFlow's threads may hold; when this process is killed, they read the end of a pipe and go.
        _start_fork_server()
        return Processes(makers, copy=False, context="forkserver")
    return SyncVectorEnv(makers, copy=False)


def _start_fork_server() -> None:
    """With the group's signals blocked, as they are then in its children until they can handle them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_RUN)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_signals_to_the_run() -> None:
    """In an environment's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Not ignored: a simulator that the environment starts would inherit that, and could not be ended.
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_THE_RUN)


def why_not_own(recipe: Recipe) -> str | None:
    """Why the task's own vector version can't serve `recipe`; None if it can."""
    env_spec = recipe.env_spec
    if env_spec.vector_entry_point is None:
        return "it registers no vector version of its own"
    if recipe.frame_stack > 1:
        return "its own vector version can't stack frames"
    if recipe.action_masks:
        return "its own vector version gives no action masks"
    if recipe.render_mode is not None:
        return "its own vector version does not render one environment"
    if env_spec.additional_wrappers:
        return "its own vector version leaves out the wrappers that it registers"
    needed = {**env_spec.kwargs, **recipe.kwargs}
    if (recipe.max_episode_steps or env_spec.max_episode_steps) is not None:
        needed["max_episode_steps"] = recipe.max_episode_steps
    unknown = unknown_kwargs(env_spec.vector_entry_point, needed)
    return f"its own vector version takes no {', '.join(sorted(unknown))}" if unknown else None


def unknown_kwargs(entry_point: Any, kwargs: dict[str, Any]) -> set[str]:
    """The names in `kwargs` that the constructor does not take."""
    parameters = constructor_parameters(entry_point)
    return set() if parameters is None else set(kwargs) - set(parameters)


def constructor_parameters(entry_point: Any) -> list[str] | None:
    """The keyword arguments that the constructor takes; None if it takes any."""
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    parameters = inspect.signature(creator).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters]


def _make_own(recipe: Recipe, num_envs: int) -> VectorEnv:
    kwargs = dict(recipe.kwargs)
    if recipe.max_episode_steps is not None:
        kwargs["max_episode_steps"] = recipe.max_episode_steps
    with quiet_gymnasium():
        return gymnasium.make_vec(
            recipe.env_spec, num_envs, vectorization_mode="vector_entry_point", **kwargs
        )
