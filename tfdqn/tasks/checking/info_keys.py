"""`told_by`: what one environment says in its own `info` and by its methods, before adapters drop it."""

import contextlib
import re
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import SyncVectorEnv
from msgspec import structs

from tfdqn.config import Task
from tfdqn.task_spec import MaskForms
from tfdqn.tasks.adapters.legal_actions import takes_no_arguments
from tfdqn.tasks.checked_env import bare
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium
from tfdqn.tasks.registry import suite_of

_STEPS = 20
_MASK_METHOD = re.compile(r"[a-z]\w*masks?|masks?")


class Told(NamedTuple):
    """What the first 20 steps of one environment tell, or those until it fails."""

    info: frozenset[str] = frozenset()  # the keys of `info`
    most_lives: int = 0  # the highest number in info["lives"]
    mask_methods: tuple[str, ...] = ()  # methods that return a boolean for each action


def told_by(config: Task) -> Told:
    """Makes the task's first environment and takes a few random steps in it."""
    keys: set[str] = set()
    lives, methods = 0, tuple[str, ...]()
    with contextlib.suppress(Exception, SystemExit), quiet_gymnasium():  # the check's plays report a failure
        spec, make = suite_of(config).environments(structs.replace(config, num_envs=1, vectorization="auto"), None)
        with contextlib.closing(make()) as envs:
            for info in _infos(envs):
                keys |= {key for key in info if isinstance(key, str) and not key.startswith("_")}
                lives = max(lives, _lives(info))
            if isinstance(envs, SyncVectorEnv):
                methods = _mask_methods(bare(envs.envs[0]).unwrapped, MaskForms(spec.actions))
    return Told(frozenset(keys), lives, methods)


def _infos(envs: Any) -> Any:
    """Yields the `info` of a reset and of each random step, from the first environment or a vectorised version."""
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


def _lives(info: dict[str, Any]) -> int:
    lives = np.asarray(info.get("lives", 0))
    return int(lives.max()) if lives.size and lives.dtype.kind in "iu" else 0


def _mask_methods(env: Any, forms: MaskForms) -> tuple[str, ...]:
    """The methods whose names end in "mask" or "masks", and which now return a mask in one of its forms."""
    found = []
    for name in filter(_MASK_METHOD.fullmatch, dir(env)):
        with contextlib.suppress(Exception, SystemExit):
            if takes_no_arguments(env, name) and np.isin(forms.in_a_row(getattr(env, name)()), (0, 1)).all():
                found.append(name)
    return tuple(found)
