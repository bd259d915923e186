"""The exact state of the tasks that can give it, as arrays, so that a resumed run repeats bit for bit."""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv
from gymnasium.wrappers import FrameStackObservation, OrderEnforcing, TimeLimit

from tfdqn.errors import TaskError
from tfdqn.randomness import generator_state, load_generator_state
from tfdqn.tasks.adapters.frames import is_restorable, restore_frames
from tfdqn.tasks.adapters.restarts import GuardedEnv
from tfdqn.tasks.checked_env import CheckedEnv

# All that decides the future of these classes besides their generator; a subclass may hold more.
_ATTRIBUTES = {
    "gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv": ("state", "steps", "prev_done"),
    "gymnasium.envs.classic_control.cartpole:CartPoleEnv": ("state",),
    "gymnasium.envs.classic_control.acrobot:AcrobotEnv": ("state",),
    "gymnasium.envs.classic_control.mountain_car:MountainCarEnv": ("state",),
    "gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv": ("s",),
    "gymnasium.envs.toy_text.taxi:TaxiEnv": ("s", "fickle_step"),
}
_WRAPPERS = (GuardedEnv, OrderEnforcing, TimeLimit, CheckedEnv, FrameStackObservation)

State = dict[str, np.ndarray]


def gives_state(envs: VectorEnv) -> bool:
    """Whether `read` can keep everything that decides the future of `envs`."""
    if type(envs) is not SyncVectorEnv:
        return _class_name(envs) in _ATTRIBUTES
    return all(_single_gives_state(env) for env in envs.envs)


def read(envs: VectorEnv) -> State:
    """The state of `envs` after a reset; names are "3/state" for environment 3's attribute `state`.

    An environment of the user's gives its own with `get_state() -> dict of arrays and numbers` and takes
    it back with `set_state(dict)`; its `np_random` and time limit are kept here. Raises `TaskError`
    where such a dict holds anything else.
    """
    if not isinstance(envs, SyncVectorEnv):
        return _read_core(envs)
    state: State = {"autoreset": envs._autoreset_envs.copy()}
    for index, env in enumerate(envs.envs):
        state |= {f"{index}/{name}": value for name, value in _read_single(env).items()}
    return state


def write(envs: VectorEnv, state: Mapping[str, np.ndarray], frames: Callable[[int], np.ndarray]) -> None:
    """Puts `state` back into `envs`, which have been reset; `frames(i)`: environment i's stacked frames."""
    if not isinstance(envs, SyncVectorEnv):
        _write_core(envs, state)
        return
    envs._autoreset_envs = np.array(state["autoreset"])
    by_env: dict[str, State] = {}
    for name, value in state.items():
        index_text, _, part = name.partition("/")
        by_env.setdefault(index_text, {})[part] = value
    for index, env in enumerate(envs.envs):
        own = by_env[str(index)]
        _write_core(env.unwrapped, own)
        for wrapper in _wrappers(env):
            if isinstance(wrapper, TimeLimit):
                wrapper._elapsed_steps = int(own["elapsed_steps"])  # type: ignore[assignment]
            elif isinstance(wrapper, FrameStackObservation):
                restore_frames(wrapper, frames(index))


def _single_gives_state(env: gymnasium.Env) -> bool:
    for wrapper in _wrappers(env):
        if type(wrapper) not in _WRAPPERS:
            return False
        if isinstance(wrapper, FrameStackObservation) and not is_restorable(wrapper):
            return False
    return _class_name(env.unwrapped) in _ATTRIBUTES or _has_methods(env.unwrapped)


def _read_single(env: gymnasium.Env) -> State:
    state = _read_core(env.unwrapped)
    for wrapper in _wrappers(env):
        if isinstance(wrapper, TimeLimit):
            state["elapsed_steps"] = np.asarray(wrapper._elapsed_steps)
    return state


def _read_core(env: Any) -> State:
    """Attributes (or what `get_state` returns) and generator of an environment without its wrappers."""
    values = env.get_state() if _has_methods(env) else {name: getattr(env, name) for name in _attributes(env)}
    if not isinstance(values, Mapping):
        raise TaskError(f"{_class_name(env)}.get_state() gave a {type(values).__name__}, not a dict")
    state = {f"state/{name}": np.array(value) for name, value in values.items()}
    for name, array in state.items():
        if array.dtype.kind not in "biuf":
            raise TaskError(f'{_class_name(env)}: "{name}" is {array.dtype}, not an array or a number')
    return {**state, "np_random": generator_state(env.np_random)}


def _write_core(env: Any, state: Mapping[str, np.ndarray]) -> None:
    values = {name.removeprefix("state/"): _value(array) for name, array in state.items() if name.startswith("state/")}
    if _has_methods(env):
        env.set_state(values)
    else:
        for name in _attributes(env):
            setattr(env, name, values[name])
    load_generator_state(env.np_random, state["np_random"])


def _value(array: np.ndarray) -> Any:
    """A number comes back as the Python number that it was saved from, an array as a fresh array."""
    if array.ndim > 0:
        return np.array(array)
    return array.item() if array.dtype in (np.bool_, np.int64, np.float64) else array[()]


def _wrappers(env: gymnasium.Env) -> list[gymnasium.Wrapper]:
    found = []
    while isinstance(env, gymnasium.Wrapper):
        found.append(env)
        env = env.env
    return found


def _has_methods(env: Any) -> bool:
    return callable(getattr(env, "get_state", None)) and callable(getattr(env, "set_state", None))


def _attributes(env: Any) -> tuple[str, ...]:
    return _ATTRIBUTES[_class_name(env)]


def _class_name(env: Any) -> str:
    return f"{type(env).__module__}:{type(env).__qualname__}"
