"""`play_at_random`: plays a task at random, and keeps what it gave and how fast it was.

`own_traits`: what one environment says in its own `info` and by its methods, before adapters drop it.
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import SyncVectorEnv
from msgspec import structs

from tfdqn.config import Task
from tfdqn.task_spec import MaskForms, TaskSpec
from tfdqn.tasks.adapters.legal_actions import takes_no_arguments
from tfdqn.tasks.checked_env import bare
from tfdqn.tasks.episode_statistics import EpisodeStatistics
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium
from tfdqn.tasks.registry import make_task, suite_of
from tfdqn.types import Observation, Step

TRAITS_STEPS = 20
_MASK_METHOD = re.compile(r"[a-z]\w*masks?|masks?")
_HELD_UP_SECONDS, _HELD_UP_SHARE = 1.0, 0.2  # the least duration, and share of a play, of a step that held it up
REMEMBERED_STEPS = 100  # the first steps, by whose digest two plays are compared


class Play(NamedTuple):
    """The result of a play. Returns and rewards are the task's own."""

    spec: TaskSpec
    is_own_vector_version: bool
    gives_state: bool
    first: Observation  # after the first reset, [E, …]
    steps: int  # of the batch, those that only reset included
    env_steps: int  # of all environments together
    seconds: float  # spent in stepping
    lengths: tuple[int, ...]  # of the episodes that ended
    returns: tuple[float, ...]
    rewards: tuple[float, float]  # lowest and highest
    largest: float  # the largest absolute value in observed arrays of unknown scale
    digest: str  # SHA-256 of what the first `REMEMBERED_STEPS` steps gave
    largest_scaled: Mapping[str, float] = {}  # the largest absolute value in each array that networks divide by a bound
    longest_seconds: float = 0.0  # of one step of the batch

    @property
    def steps_per_second(self) -> float:
        """Environment steps for each second spent in stepping."""
        return self.env_steps / max(self.seconds, 1e-9)

    @property
    def is_held_up(self) -> bool:
        """Whether so much of the time was spent in one step that the speed says little about the others."""
        return self.longest_seconds > max(_HELD_UP_SECONDS, _HELD_UP_SHARE * self.seconds)


def play_at_random(
    config: Task,
    seed: int,
    env_steps: int,
    seconds: float,
    tell: Callable[[int], None],
    to_an_end: bool = False,
    restarts: Restarts | None = None,
) -> Play:
    """Plays a task once by random legal actions. Raises UserError if the task fails.

    Args:
      env_steps: how many steps to take in each environment.
      seconds: of stepping, after which the play ends early.
      tell: is called after each step with the number of steps taken in each environment.
      to_an_end: whether the play also ends with the first episode that ends.
      restarts: as for `make_task`.
    """
    task = make_task(config, restarts=restarts)
    try:
        observation, legal = task.reset(seed)
        recorder, rng = _Recorder(task.spec, observation, task.num_envs), np.random.default_rng(seed)
        for done in range(1, env_steps + 1):
            actions = random_actions(task.spec, legal, task.num_envs, rng)
            began = time.perf_counter()
            step = task.step(actions)
            recorder.add(step, time.perf_counter() - began)
            legal = step.legal_actions
            tell(done)
            if recorder.seconds > seconds or (to_an_end and step.ended.any()):
                break
        return recorder.play(task.is_own_vector_version, task.state() is not None)
    finally:
        task.close()


def random_actions(spec: TaskSpec, legal: np.ndarray | None, num_envs: int, rng: np.random.Generator) -> np.ndarray:
    """Legal actions, drawn uniformly: int32[E], or int32[E, D] of D branches.

    `legal` are masks bool[E, A], or bool[E, D, A] of branches; None: all actions are legal.
    """
    shape = (num_envs, *spec.mask_shape)
    chances = np.where(spec.all_legal if legal is None else legal & spec.all_legal, rng.random(shape), -1.0)
    return chances.argmax(axis=-1).astype(np.int32)


class _Recorder:
    """Gathers the result of a play from its steps."""

    def __init__(self, spec: TaskSpec, first: Observation, num_envs: int):
        self._spec = spec
        self._first = {name: array.copy() for name, array in first.items()}
        self._hash, self._steps, self._env_steps = hashlib.sha256(), 0, 0
        self.seconds, self._longest_seconds = 0.0, 0.0
        self._episodes = EpisodeStatistics(num_envs)
        self._lengths: list[int] = []
        self._returns: list[float] = []
        self._low, self._high, self._largest = np.inf, -np.inf, 0.0
        images = {name: each for name, each in spec.observation.items() if each.has_image_shape}
        self._largest_scaled = {name: 0.0 for name, each in images.items() if min(each.high, default=0) > 1}
        self._add_observation(first)

    def add(self, step: Step, seconds: float) -> None:
        """Adds one step of the batch, which took so many seconds."""
        self._steps += 1
        self.seconds += seconds
        self._longest_seconds = max(self._longest_seconds, seconds)
        is_step = ~step.is_reset
        self._env_steps += int(is_step.sum())
        if is_step.any():
            taken = step.score[is_step]
            self._low, self._high = min(self._low, float(taken.min())), max(self._high, float(taken.max()))
        if (finished := self._episodes.add(step)) is not None:
            self._lengths += finished.lengths.tolist()
            self._returns += finished.returns.tolist()
        self._add_observation(step.observation)
        if self._steps <= REMEMBERED_STEPS:
            for array in (*step.observation.values(), step.score, step.terminated, step.truncated):
                self._hash.update(np.ascontiguousarray(array).tobytes())

    def play(self, is_own: bool, gives_state: bool) -> Play:
        """The result so far."""
        return Play(
            spec=self._spec,
            is_own_vector_version=is_own,
            gives_state=gives_state,
            first=self._first,
            steps=self._steps,
            env_steps=self._env_steps,
            seconds=self.seconds,
            lengths=tuple(self._lengths),
            returns=tuple(self._returns),
            rewards=(self._low, self._high),
            largest=self._largest,
            digest=self._hash.hexdigest(),
            largest_scaled=self._largest_scaled,
            longest_seconds=self._longest_seconds,
        )

    def _add_observation(self, observation: Observation) -> None:
        specs = self._spec.observation
        numbers = [array for name, array in observation.items() if specs[name].is_of_unknown_scale]
        self._largest = max(self._largest, *(float(np.abs(array).max()) for array in numbers), 0.0)
        for name, largest in self._largest_scaled.items():
            if largest <= 1:  # else the numbers are not those of Box(0, 1)
                self._largest_scaled[name] = max(largest, float(np.abs(observation[name]).max()))


class OwnTraits(NamedTuple):
    """What the first 20 steps of one environment tell, or those until it fails."""

    info: frozenset[str] = frozenset()  # the keys of `info`
    most_lives: int = 0  # the highest number in info["lives"]
    mask_methods: tuple[str, ...] = ()  # methods that return a boolean for each action


def own_traits(config: Task, tell: Callable[[int], None] = lambda steps: None) -> OwnTraits:
    """Makes the task's first environment and takes a few random steps in it; `tell` gets their number so far."""
    tell(0)
    keys: set[str] = set()
    lives, methods = 0, tuple[str, ...]()
    with contextlib.suppress(Exception, SystemExit), quiet_gymnasium():  # the check's plays report a failure
        spec, make = suite_of(config).environments(structs.replace(config, num_envs=1, vectorization="auto"), None)
        with contextlib.closing(make()) as envs:
            with contextlib.suppress(Exception, SystemExit):  # perhaps by an illegal action: it may have masks
                for info in _infos(envs, tell):
                    keys |= {key for key in info if isinstance(key, str) and not key.startswith("_")}
                    lives = max(lives, _lives(info))
            if isinstance(envs, SyncVectorEnv):
                methods = _mask_methods(bare(envs.envs[0]).unwrapped, MaskForms(spec.actions))
    return OwnTraits(frozenset(keys), lives, methods)


def _infos(envs: Any, tell: Callable[[int], None]) -> Iterator[dict[str, Any]]:
    """Yields the `info` of a reset and of each step, from the first environment or a vectorised version."""
    is_single = isinstance(envs, SyncVectorEnv)
    env: Any = bare(envs.envs[0]) if is_single else envs
    space = env.action_space if is_single else envs.single_action_space
    space.seed(0)
    yield env.reset(seed=0)[1]
    for steps in range(1, TRAITS_STEPS + 1):
        action = space.sample() if is_single else np.array([space.sample()])
        _, _, terminated, truncated, info = env.step(action)
        tell(steps)
        yield info
        if is_single and (terminated or truncated):
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
