"""Makes Atari environments: one in gymnasium's wrappers, or many in ale-py's threads; both give the same frames."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers import AtariPreprocessing

from tfdqn.randomness import seeds_of_environments


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


def make_vector(
    game: str, num_envs: int, frame_stack: int, max_num_frames_per_episode: int, kwargs: Mapping[str, Any]
) -> VectorEnv:
    """Many environments, stepped by threads of C++; `kwargs` are those of `ale_py.vector_env.AtariVectorEnv`.

    An episode begins with 0 to `noop_max` frames without an action, which don't count towards its limit.
    """
    _ale_py()
    from ale_py.vector_env import AtariVectorEnv

    envs = AtariVectorEnv(
        game,
        num_envs,
        stack_num=frame_stack,
        max_num_frames_per_episode=max_num_frames_per_episode,
        # With `episodic_life` a lost life would begin a new game. `Lives` marks the loss instead.
        episodic_life=False,
        reward_clipping=False,
        use_fire_reset=False,
        **{**kwargs, "noop_max": kwargs["noop_max"] + 1},  # it draws from 0 to noop_max - 1
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
