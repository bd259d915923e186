"""`CheckedEnv`: checks what one environment gives against gymnasium's API, before it is stacked and batched."""

from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import Space, spaces

from tfdqn.errors import TaskError
from tfdqn.task_spec import MASK
from tfdqn.tasks.adapters.learning_signal import LIVES
from tfdqn.tasks.adapters.legal_actions import MaskReader, MaskSource, without_masks
from tfdqn.tasks.array_contract import ArrayContract, Breach, called, shown
from tfdqn.tasks.contract import STEP, UNDECLARED, UNUSED_MASK, unpacked
from tfdqn.tasks.observations import flat_name, observation_specs, undeclared_keys

_FLOATS, _BOOLEANS = (float, np.float64, np.float32), (bool, np.bool_)


class CheckedEnv(gymnasium.Wrapper):
    """Checks every answer of its environment, and passes it on as fresh arrays of the space's dtypes.

    The arrays are copies because an environment may reuse one array for all steps, while gymnasium keeps what it was
    given: in the frames of a stack, and until all environments of a batch have been stepped. Of `info` only the mask
    and the lives are passed on, if they are asked for; after a reset with a seed also the names of what the observation
    has beside its space, and whether there is a mask that is not asked for.

    Args:
      env: one environment, its observations not stacked.
      index: the environment's index in its batch, for errors.
      masks: where every state's legal actions are; None: the task has no masks.
      lives: whether `info["lives"]` is needed at every step.

    Raises TaskError for an observation space that can't be learned from, and FaultyTaskError from `reset` and `step`
    for what gymnasium's API or the spaces don't allow.
    """

    def __init__(self, env: gymnasium.Env, task_id: str, index: int, masks: MaskSource | None, lives: bool):
        super().__init__(env)
        self._task_id, self._index = task_id, index
        if masks is not None:
            self.observation_space = without_masks(env.observation_space, masks.place)
        try:
            observation_specs(self.observation_space)
        except TaskError as error:
            raise TaskError(f"{task_id}: {error}") from None
        self._read = _reader(self.observation_space)
        self._mask = None if masks is None else MaskReader(masks, env, task_id)
        self._lives = lives
        self._passes_on = masks is not None or lives
        self._steps = 0  # since the reset with a seed; as in a batch, a reset at an episode's end takes one step

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self._steps = self._steps + 1 if seed is None else 0
        answer = self.env.reset(seed=seed, options=options)
        try:
            observation, info = unpacked("reset", answer, ("observation", "info"))
            read = self._read(observation)
            passed = self._passed_on(observation, info, False) if self._passes_on else {}
            if self._steps == 0 and (undeclared := undeclared_keys(self.env.observation_space, observation)):
                passed[UNDECLARED] = ", ".join(undeclared)
            if self._steps == 0 and self._mask is None and MASK in info:
                passed[UNUSED_MASK] = True
            return read, passed
        except Breach as breach:
            raise breach.error(self._task_id, self._steps, self._index) from None

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        self._steps += 1
        answer = self.env.step(action)
        try:
            if type(answer) is not tuple or len(answer) != len(STEP) or type(answer[-1]) is not dict:
                answer = unpacked("step", answer, STEP)
            observation, reward, terminated, truncated, info = answer
            is_over = terminated if type(terminated) in _BOOLEANS else _flag("terminated", terminated)
            return (
                self._read(observation),
                reward if type(reward) in _FLOATS else _number(reward),
                is_over,
                truncated if type(truncated) in _BOOLEANS else _flag("truncated", truncated),
                self._passed_on(observation, info, is_over) if self._passes_on else {},
            )
        except Breach as breach:
            raise breach.error(self._task_id, self._steps, self._index) from None

    @property
    def where(self) -> str:
        """The environment's index, and the step that it takes or has taken, in words."""
        return f"environment {self._index}, step {self._steps}"

    def _passed_on(self, observation: Any, info: Mapping[str, Any], is_over: bool) -> dict[str, Any]:
        """The part of `info` that is passed on: the mask, from where the task has it, and the lives."""
        passed = self._mask.one(observation, info, is_over) if self._mask else {}
        if self._lives:
            passed[LIVES] = _lives(info)
        return passed


def bare(env: gymnasium.Env) -> gymnasium.Env:
    """The environment inside `CheckedEnv`, with its whole `info`."""
    while isinstance(env, gymnasium.Wrapper) and not isinstance(env, CheckedEnv):
        env = env.env
    return env.env if isinstance(env, CheckedEnv) else env


def _lives(info: Mapping[str, Any]) -> int:
    lives = np.asarray(info.get(LIVES, ""))
    if lives.size != 1 or lives.dtype.kind not in "iu":
        found = f"is {shown(info[LIVES])}, not a whole number" if LIVES in info else "is missing"
        raise Breach(f'info["{LIVES}"]', f"{found}, and task.end_on_life_loss is true")
    return int(lives.reshape(()))


def _reader(space: Space[Any], name: str = "") -> Callable[[Any], Any]:
    """A function that copies an observation of `space` into fresh arrays, and raises Breach if it is none."""
    what = called(name or "observation")
    if isinstance(space, spaces.Dict):
        by_key = {key: _reader(part, flat_name(name, key)) for key, part in space.spaces.items()}

        def read_dict(value: Any) -> dict[str, Any]:
            if not isinstance(value, Mapping):
                raise Breach(what, f"is {shown(value)}, not a dict")
            if missing := [str(key) for key in by_key if key not in value]:
                raise Breach(what, f"lacks {', '.join(missing)}, which its space has")
            return {key: read(value[key]) for key, read in by_key.items()}

        return read_dict
    if isinstance(space, spaces.Tuple):
        in_order = [_reader(part, flat_name(name, i)) for i, part in enumerate(space.spaces)]

        def read_tuple(value: Any) -> tuple[Any, ...]:
            if not isinstance(value, tuple | list) or len(value) != len(in_order):
                raise Breach(what, f"is {shown(value)}, not a tuple of {len(in_order)}")
            return tuple(read(part) for read, part in zip(in_order, value, strict=True))

        return read_tuple
    return ArrayContract(what, space, is_observed=True).array


def _number(reward: Any) -> float:
    """The reward as a float, also if it is an array of one number. Raises Breach for anything else."""
    if isinstance(reward, int) and abs(reward) < 2**63:
        return float(reward)
    array = np.asarray(reward)
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise Breach("reward", f"is {shown(reward)}, not a number")
    return float(array.reshape(()))


def _flag(what: str, value: Any) -> bool:
    """`value` as a bool, also if it is a whole number or an array of one. Raises Breach for anything else."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biu":
        raise Breach(what, f"is {shown(value)}, not true or false")
    return bool(array.reshape(()))
