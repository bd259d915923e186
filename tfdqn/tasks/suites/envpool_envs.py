"""`Pool`: EnvPool's environments with gymnasium's vector interface, by which `reset` is given the seeds.

As a program, renders once the environments that the pickle in stdin makes.
"""

import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import Space, spaces
from gymnasium.vector import AutoresetMode, VectorEnv

from tfdqn.errors import TaskError
from tfdqn.randomness import seeds_of_environments
from tfdqn.system.subprocesses import dies_with, how_it_ended
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium

STACK = "stack_num"  # the argument of EnvPool's tasks that can stack frames
_RENDERING_SECONDS = 120.0  # the most that a first picture may take
_NO_LIMIT = (0, np.iinfo(np.int32).max)


class PoolSpec(NamedTuple):
    """What EnvPool says of a task before an environment is made."""

    frame: Space[Any]  # of one environment, before frames are stacked
    observation: Space[Any]  # of one environment, after frames are stacked
    arrange: Callable[[np.ndarray], np.ndarray] | None  # EnvPool's array → `observation`, both [E, …]; None: no change
    action: Space[Any]
    players: int
    max_episode_steps: int | None


def is_installed() -> bool:
    """Whether EnvPool is installed."""
    return importlib.util.find_spec("envpool") is not None


def ids() -> list[str]:
    """The ids of EnvPool's tasks."""
    return list(_envpool().list_all_envs())


def defaults(task_id: str) -> dict[str, Any]:
    """A task's keyword arguments and their defaults. Raises what importing the task's part of EnvPool raises."""
    config: dict[str, Any] = _envpool().make_spec(task_id).config._asdict()
    return config


def pool_spec(task_id: str, kwargs: Mapping[str, Any], frame_stack: int) -> PoolSpec:
    """What EnvPool says of a task with these arguments.

    Raises TaskError if its frames can't be stacked, and what EnvPool raises for `kwargs`.
    """
    with quiet_gymnasium():
        has_stack = STACK in defaults(task_id)
        spec = _envpool().make_spec(task_id, **kwargs, **({STACK: 1} if has_stack else {}))
        frame, action = _spaces(task_id, spec)
    arrange = None
    channels, *height_and_width = frame.shape if has_stack and frame.shape else (0,)
    if channels == 1:  # grey
        frame = spaces.Box(0, 255, tuple(height_and_width), np.uint8)
        arrange = None if frame_stack > 1 else _without_channel
    elif channels and frame_stack == 1:
        frame, arrange = spaces.Box(0, 255, (*height_and_width, channels), np.uint8), _with_channels_last
    elif frame_stack > 1:
        raise TaskError(f"{task_id}: task.frame_stack = {frame_stack}: EnvPool only stacks games' grey frames")
    is_stack = frame_stack > 1
    observation = spaces.Box(0, 255, (frame_stack, *(frame.shape or ())), np.uint8) if is_stack else frame
    limit = spec.config.max_episode_steps
    return PoolSpec(
        frame=frame,
        observation=observation,
        arrange=arrange,
        action=action,
        players=spec.config.max_num_players,
        max_episode_steps=None if limit in _NO_LIMIT else limit,
    )


def make_pool(task_id: str, kwargs: Mapping[str, Any], frame_stack: int, seeds: list[int]) -> Any:
    """EnvPool's environments, one for each seed, which are stepped together; row i belongs to environment i."""
    with quiet_gymnasium():
        stack = {STACK: frame_stack} if STACK in defaults(task_id) else {}
        return _envpool().make_gymnasium(task_id, num_envs=len(seeds), seed=seeds, **stack, **kwargs)


class Pool(VectorEnv):
    """EnvPool's environments, made anew whenever they are reset with a seed, which EnvPool takes only at that time.

    `make` makes EnvPool's, one for each seed, with the `render_mode`; None: they can't be rendered.
    """

    def __init__(self, make: Callable[[list[int]], Any], num_envs: int, spec: PoolSpec, render_mode: str | None):
        self._make = make
        self._pool: Any = None
        self._arrange = spec.arrange
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_observation_space, self.single_action_space = spec.observation, spec.action
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None or self._pool is None:
            self.close_extras()
            self._pool = self._make(seeds_of_environments(seed, self.num_envs))
        observation, info = self._pool.reset()
        return self._observed(observation), info

    def step(self, actions: np.ndarray) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observation, *rest = self._pool.step(actions)
        return (self._observed(observation), *rest)

    def render(self) -> tuple[Any, ...]:
        return tuple(self._pool.render(env_ids=np.arange(self.num_envs)))

    def _observed(self, observation: Any) -> Any:
        return observation if self._arrange is None else self._arrange(observation)

    def close_extras(self, **_: Any) -> None:
        if self._pool is not None:
            self._pool.close()
        self._pool = None


def _envpool() -> Any:
    import envpool

    return envpool


def _without_channel(frames: np.ndarray) -> np.ndarray:
    return frames[:, 0]


def _with_channels_last(frames: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(frames, 1, -1))


def _spaces(task_id: str, spec: Any) -> tuple[Space[Any], Space[Any]]:
    """The spaces of an observation and an action, as EnvPool derives them.

    Raises TaskError if EnvPool fails in that, as it would again when it makes the task.
    """
    try:
        return _with_infinite_bounds(spec.gymnasium_observation_space), spec.gymnasium_action_space
    except TypeError as error:
        version = metadata.version("envpool")
        raise TaskError(f"{task_id}: EnvPool {version} can't derive this task's observation space") from error


def _with_infinite_bounds(space: Space[Any]) -> Space[Any]:
    """The space with infinite bounds where EnvPool has a C++ type's smallest positive and largest number for them."""
    if isinstance(space, spaces.Dict):
        return spaces.Dict({key: _with_infinite_bounds(part) for key, part in space.spaces.items()})
    if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        return space
    limits = np.finfo(space.low.dtype)
    low = np.where(space.low == limits.tiny, -np.inf, space.low)
    high = np.where(space.high == limits.max, np.inf, space.high)
    return spaces.Box(low, high, dtype=space.low.dtype.type)


def require_rendering(task_id: str, make: Callable[[list[int]], Any]) -> None:
    """Raises TaskError if an environment can't be rendered; finds that out in a process of its own.

    Where OpenGL is missing, the renderer of MuJoCo's tasks ends the process that it runs in, and raises no exception.
    `make` makes EnvPool's environments from a seed for each; it must be picklable.
    """
    try:
        trial = subprocess.run(
            [sys.executable, "-P", "-m", __name__],  # -P: no module of the current folder shadows a library's
            input=pickle.dumps(make),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_RENDERING_SECONDS,
            preexec_fn=dies_with(os.getpid()),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _cannot_be_rendered(task_id, f"no picture came within {_RENDERING_SECONDS:g} s") from error
    if trial.returncode:
        lines = [line for line in trial.stdout.decode(errors="replace").splitlines() if line.strip()]
        why = lines[-1].removeprefix("ERROR: ") if lines else f"the process {how_it_ended(trial.returncode)}"
        raise _cannot_be_rendered(task_id, why)


def _cannot_be_rendered(task_id: str, why: str) -> TaskError:
    others = '; `task.suite="auto"` renders gymnasium\'s version' if task_id in gymnasium.registry else ""
    return TaskError(f"EnvPool can't render {task_id} here: {why}{others}")


def _render_once(make: Callable[[list[int]], Any]) -> None:
    pool = make([0])
    pool.reset()
    pool.render(env_ids=np.arange(1))


if __name__ == "__main__":
    _render_once(pickle.load(sys.stdin.buffer))
