"""Atari games of the Arcade Learning Environment, with Mnih et al. 2015's preprocessing, Machado et al. 2018's rules.

A step repeats an action for four frames; in each frame the previous action is repeated instead with probability 0.25
(sticky actions). A picture is the pixelwise maximum of the last two frames, in grey, 84 x 84; an observation is the
stack of the last `task.frame_stack` pictures. One environment in gymnasium's wrappers and many in ale-py's threads give
the same frames.
"""

import functools
from collections.abc import Callable
from typing import Annotated, Any

import gymnasium
import msgspec
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers import AtariPreprocessing
from msgspec import Meta

from tfdqn.config import Task
from tfdqn.errors import PackageMissingError, TaskError
from tfdqn.randomness import seeds_of_environments
from tfdqn.system.shell_commands import install_extra
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.observations import observation_bytes
from tfdqn.tasks.suites import gymnasium_envs, packages
from tfdqn.tasks.suites.gymnasium import find_env_spec
from tfdqn.tasks.suites.gymnasium_envs import Recipe
from tfdqn.tasks.suites.keyword_arguments import refuse_set_elsewhere, refuse_unknown
from tfdqn.tasks.suites.processes import require_room
from tfdqn.tasks.suites.suite import Suite, TaskEntry, describe

_PACKAGE = next(package for package in packages.PACKAGES if package.module == "ale_py")
_SET_ELSEWHERE = {
    "max_num_frames_per_episode": "task.max_episode_steps",
    "num_envs": "task.num_envs",
    "stack_num": "task.frame_stack",
    "reward_clipping": "task.reward_clip",
    "episodic_life": "task.end_on_life_loss",
    "terminal_on_life_loss": "task.end_on_life_loss",
}
_MAX_FRAMES = 108_000  # of an episode, half an hour at 60 frames a second: Machado et al. 2018, table 5

Count = Annotated[int, Meta(ge=1, le=1024)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments in `task.kwargs`, named as in ale-py."""

    repeat_action_probability: Annotated[float, Meta(ge=0, le=1)] = 0.25
    full_action_space: bool = False  # all 18 actions, not only those that do something in the game
    frameskip: Count = 4
    noop_max: Annotated[int, Meta(ge=0, le=1000)] = 0  # the most frames without an action at an episode's start
    img_height: Count = 84
    img_width: Count = 84
    num_threads: Annotated[int, Meta(ge=0, le=1024)] = 0  # threads that step the environments; 0: one for each core


class AtariSuite(Suite):
    """The games "ALE/Breakout-v5" and so on: stepped by ale-py's threads, or one by one in gymnasium's wrappers."""

    def check(self, task: Task) -> None:
        _game(task)
        _settings(task)
        if task.action_masks:
            raise TaskError(f"task.action_masks: {task.id} gives no action masks")

    def describe(self, task: Task) -> TaskSpec:
        self.check(task)
        settings = _settings(task)
        actions = action_names(_game(task), settings.full_action_space)
        return describe(
            task,
            _frame(settings),
            spaces.Discrete(len(actions)),
            action_names=actions,
            max_episode_steps=_max_episode_steps(task, settings),
        )

    def environments(self, task: Task, render_mode: str | None) -> tuple[TaskSpec, Callable[[], VectorEnv]]:
        spec, settings = self.describe(task), _settings(task)
        if task.vectorization in ("auto", "own") and render_mode is None:
            return spec, functools.partial(make_vector, task, settings)
        if task.vectorization == "async":
            require_room(spec.id, task.frame_stack * observation_bytes(_frame(settings)), task.num_envs)
        return spec, functools.partial(_one_by_one, task, settings, render_mode)

    def installed(self) -> list[TaskEntry]:
        """None of the hundred games is made."""
        if not packages.is_installed(_PACKAGE):
            return []
        packages.register(_PACKAGE)
        return [TaskEntry(name, "", own_vector_version=True) for name in gymnasium.registry if name.startswith("ALE/")]


def _game(task: Task) -> str:
    """ale-py's name of the game, such as "space_invaders". Raises TaskError if it is none, or ale-py is missing."""
    if packages.package_of(task.id.rpartition(":")[2]) != _PACKAGE:
        others = '"auto" goes by the id, and others are "gymnasium" and "envpool"'
        raise TaskError(f'task.suite = "ALE": {task.id} is not one of its games, such as ALE/Pong-v5; {others}')
    if not packages.is_installed(_PACKAGE):
        raise PackageMissingError(f"{task.id} needs a package: {install_extra(_PACKAGE.extra)}")
    return str(find_env_spec(task.id).kwargs["game"])


def _settings(task: Task) -> Settings:
    refuse_set_elsewhere(task.kwargs, _SET_ELSEWHERE)
    refuse_unknown(task.id, task.kwargs, Settings.__struct_fields__)
    try:
        return msgspec.convert(task.kwargs, Settings)
    except msgspec.ValidationError as error:
        wanted, _, name = str(error).replace("`", "").partition(" - at $.")
        raise TaskError(f"task.kwargs.{name} = {task.kwargs[name]!r}: {wanted.lower()}") from None


def _frame(settings: Settings) -> spaces.Box:
    return spaces.Box(0, 255, (settings.img_height, settings.img_width), np.uint8)


def _max_episode_steps(task: Task, settings: Settings) -> int:
    return task.max_episode_steps or _MAX_FRAMES // settings.frameskip


def _one_by_one(task: Task, settings: Settings, render_mode: str | None) -> VectorEnv:
    kwargs: dict[str, Any] = msgspec.structs.asdict(settings)
    del kwargs["num_threads"]
    kwargs |= {
        "game": _game(task),
        "max_num_frames_per_episode": _max_episode_steps(task, settings) * settings.frameskip,
    }
    recipe = Recipe(
        task_id=task.id,
        env_spec=EnvSpec(id=task.id, entry_point="tfdqn.tasks.suites.atari:make_single"),
        kwargs=kwargs,
        max_episode_steps=None,
        frame_stack=task.frame_stack,
        masks=None,
        render_mode=render_mode,
        padding="zero",
        lives=task.end_on_life_loss,
    )
    try:
        return gymnasium_envs.make_vector(recipe, task.num_envs, "async" if task.vectorization == "async" else "sync")
    except DependencyNotInstalled as error:
        raise TaskError(
            f"{task.id}, stepped one environment at a time, needs a package: {install_extra(_PACKAGE.extra)}"
        ) from error


def action_names(game: str, full_action_space: bool) -> tuple[str, ...]:
    """The names of the actions that do something in the game, or of all 18."""
    ale_py = _ale_py()
    ale = ale_py.ALEInterface()
    ale.loadROM(ale_py.roms.get_rom_path(game))
    actions = ale.getLegalActionSet() if full_action_space else ale.getMinimalActionSet()
    return tuple(action.name for action in actions)


def make_single(
    game: str,
    noop_max: int,
    frameskip: int,
    img_height: int,
    img_width: int,
    render_mode: str | None = None,
    **kwargs: Any,
) -> gymnasium.Env:
    """One environment, its frames not stacked; `kwargs` are those of `ale_py.AtariEnv`.

    With `noop_max` above 0, an episode begins with 1 to `noop_max` frames without an action, which count towards its
    limit.
    """
    env = _ale_py().AtariEnv(game, frameskip=1, render_mode=render_mode, **kwargs)
    return AtariPreprocessing(env, noop_max=noop_max, frame_skip=frameskip, screen_size=(img_width, img_height))


def make_vector(task: Task, settings: Settings) -> VectorEnv:
    """Many environments, stepped by threads of C++.

    An episode begins with 0 to `noop_max` frames without an action, which don't count towards its limit.
    """
    _ale_py()
    from ale_py.vector_env import AtariVectorEnv

    envs = AtariVectorEnv(
        _game(task),
        task.num_envs,
        stack_num=task.frame_stack,
        max_num_frames_per_episode=_max_episode_steps(task, settings) * settings.frameskip,
        # With `episodic_life` a lost life would begin a new game. `Lives` marks the loss instead.
        episodic_life=False,
        reward_clipping=False,
        use_fire_reset=False,
        **{**msgspec.structs.asdict(settings), "noop_max": settings.noop_max + 1},  # it draws from 0 to noop_max - 1
    )
    return AtariBatch(envs)


class AtariBatch(VectorWrapper):
    """`AtariVectorEnv` with a seed for each environment, derived from the batch's, and no axis for a stack of one."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._games = env
        stack, *shape = env.single_observation_space.shape
        self._is_frame = stack == 1
        if self._is_frame:
            self.single_observation_space = spaces.Box(0, 255, tuple(shape), np.uint8)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        seeds = None if seed is None else np.array(seeds_of_environments(seed, self.num_envs))
        frames, info = self._games.reset(seed=seeds, options=options)
        return self._observed(frames), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        frames, reward, terminated, truncated, info = self._games.step(actions)
        return self._observed(frames), reward, terminated, truncated, info

    def _observed(self, frames: np.ndarray) -> np.ndarray:
        return frames[:, 0] if self._is_frame else frames


def _ale_py() -> Any:
    """Imports ale_py and turns off its banner."""
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    return ale_py
