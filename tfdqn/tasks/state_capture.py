"""Reads and writes the exact state of environments, as arrays, so that a resumed run repeats bit for bit."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv
from gymnasium.wrappers import FrameStackObservation, OrderEnforcing, TimeLimit

from tfdqn.errors import TaskError
from tfdqn.randomness import generator_state, load_generator_state
from tfdqn.storage.arrays import add_prefix, by_index, with_prefix
from tfdqn.tasks.checked_env import CheckedEnv
from tfdqn.tasks.failures import GuardedEnv

# The attributes that, with the random generator, determine these environments' future. A subclass may have more.
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
    """Whether `read` gets everything that determines the future of `envs`."""
    if type(envs) is not SyncVectorEnv:
        return _class_name(envs) in _ATTRIBUTES
    return all(_single_gives_state(env) for env in envs.envs)


def read(envs: VectorEnv) -> State:
    """The state of `envs`, which have been reset, by names such as "3/state/s" for attribute `s` of environment 3.

    A user's environment gives its state by `get_state()`, a dict of arrays and numbers, and takes it back by
    `set_state(dict)`; its `np_random` and its time limit are saved here. Raises TaskError if such a dict holds anything
    else.
    """
    if not isinstance(envs, SyncVectorEnv):
        return _read_core(envs)
    state: State = {"autoreset": envs._autoreset_envs.copy()}
    for index, env in enumerate(envs.envs):
        own = _read_core(env.unwrapped)
        for wrapper in _wrappers(env):
            if isinstance(wrapper, TimeLimit):
                own["elapsed_steps"] = np.asarray(wrapper._elapsed_steps)
        state |= add_prefix(str(index), own)
    return state


def write(envs: VectorEnv, state: Mapping[str, np.ndarray], frames: np.ndarray) -> None:
    """Restores what `read` returned in environments that have been reset.

    `frames` are the observations [E, …], which the stacks of frames are restored from.
    """
    if not isinstance(envs, SyncVectorEnv):
        _write_core(envs, state)
        return
    envs._autoreset_envs = np.array(state["autoreset"])
    states = by_index(len(envs.envs), state)
    for env, own, stack in zip(envs.envs, states, frames, strict=True):
        _write_core(env.unwrapped, own)
        for wrapper in _wrappers(env):
            if isinstance(wrapper, TimeLimit):
                wrapper._elapsed_steps = int(own["elapsed_steps"])  # type: ignore[assignment]
            elif isinstance(wrapper, FrameStackObservation):
                wrapper.obs_queue.extend(stack)


def _single_gives_state(env: gymnasium.Env) -> bool:
    for wrapper in _wrappers(env):
        if type(wrapper) not in _WRAPPERS:
            return False
        if isinstance(wrapper, FrameStackObservation) and wrapper.observation_space.shape is None:
            return False  # a stack is restored from its observation, which must be a single array
    return _class_name(env.unwrapped) in _ATTRIBUTES or _has_state_methods(env.unwrapped)


def _read_core(env: Any) -> State:
    """The attributes, or the `get_state()`, and the generator of an environment without its wrappers."""
    if _has_state_methods(env):
        values = env.get_state()
    else:
        values = {name: getattr(env, name) for name in _ATTRIBUTES[_class_name(env)]}
    if not isinstance(values, Mapping):
        raise TaskError(f"{_class_name(env)}.get_state() gave a {type(values).__name__}, not a dict")
    state = {f"state/{name}": np.array(value) for name, value in values.items()}
    for name, array in state.items():
        if array.dtype.kind not in "biuf":
            raise TaskError(f'{_class_name(env)}: "{name}" is {array.dtype}, not an array or a number')
    return {**state, "np_random": generator_state(env.np_random)}


def _write_core(env: Any, state: Mapping[str, np.ndarray]) -> None:
    values = {name: _value(array) for name, array in with_prefix("state", state).items()}
    if _has_state_methods(env):
        env.set_state(values)
    else:
        for name in _ATTRIBUTES[_class_name(env)]:
            setattr(env, name, values[name])
    load_generator_state(env.np_random, state["np_random"])


def _value(array: np.ndarray) -> Any:
    """An array of no axes as the Python or NumPy number that it was saved from, any other as a copy."""
    if array.ndim > 0:
        return np.array(array)
    return array.item() if array.dtype in (np.bool_, np.int64, np.float64) else array[()]


def _wrappers(env: gymnasium.Env) -> list[gymnasium.Wrapper]:
    found = []
    while isinstance(env, gymnasium.Wrapper):
        found.append(env)
        env = env.env
    return found


def _has_state_methods(env: Any) -> bool:
    return callable(getattr(env, "get_state", None)) and callable(getattr(env, "set_state", None))


def _class_name(env: Any) -> str:
    return f"{type(env).__module__}:{type(env).__qualname__}"
