"""What a task tells in `info`, which no adapter has touched."""

import contextlib
from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv
from msgspec import structs

from tfdqn.config import Task
from tfdqn.tasks.checked_env import bare
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium
from tfdqn.tasks.registry import suite_of

_STEPS = 20


def info_keys(config: Task) -> frozenset[str]:
    """Of the first steps of one environment; those until it fails, where it does."""
    keys: set[str] = set()
    with contextlib.suppress(Exception, SystemExit), quiet_gymnasium():  # a failure is found where it is played
        _, make = suite_of(config).environments(structs.replace(config, num_envs=1, vectorization="auto"), None)
        with contextlib.closing(make()) as envs:
            for info in _infos(envs):
                keys |= {key for key in info if isinstance(key, str) and not key.startswith("_")}
    return frozenset(keys)


def _infos(envs: Any) -> Any:
    env: Any = bare(envs.envs[0]) if isinstance(envs, SyncVectorEnv) else envs
    space = env.action_space if isinstance(envs, SyncVectorEnv) else envs.single_action_space
    space.seed(0)
    yield env.reset(seed=0)[1]
    for _ in range(_STEPS):
        action = space.sample() if isinstance(envs, SyncVectorEnv) else np.array([space.sample()])
        *_, terminated, truncated, info = env.step(action)
        yield info
        if isinstance(envs, SyncVectorEnv) and (terminated or truncated):
            yield env.reset()[1]
