"""`Contract`: checks what a batch of environments gives at every step: form, dtypes, shapes, bounds, finite numbers.

`checked_env` checks each environment's form, dtypes and shapes before gymnasium makes a batch of them. Values are
checked here, on the whole batch, as is everything that a task's own vectorised version gives.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space, spaces

from tfdqn.task_spec import MASK, TaskSpec
from tfdqn.tasks.array_contract import ArrayContract, Breach, called, cast, shown
from tfdqn.tasks.observations import leaves, undeclared_keys
from tfdqn.tasks.warnings import warn_once
from tfdqn.types import Observation

# The keys in `info` by which `CheckedEnv` names keys of its observation that are dropped, and tells of unused masks.
UNDECLARED = "tfdqn.undeclared"
UNUSED_MASK = "tfdqn.unused_mask"


class _Part(NamedTuple):
    """One array of an observation."""

    name: str
    path: tuple[Any, ...]  # the keys that lead to it in the environment's observation
    declared: ArrayContract
    dtype: np.dtype  # in the `TaskSpec`


class Contract:
    """Checks what E environments of a task give, and converts it to the arrays of its `TaskSpec`.

    `space` is one environment's observation space, after frames are stacked.
    """

    def __init__(self, space: Space[Any], spec: TaskSpec, num_envs: int):
        self._task_id, self._space, self._has_masks = spec.id, space, spec.action_masks
        self._observes_masks = MASK in spec.observation  # which are not used, then: the network is given them
        self._parts = [
            _Part(
                name,
                path,
                ArrayContract(called(name), leaf, (num_envs,), is_observed=True),
                np.dtype(spec.observation[name].dtype),
            )
            for name, path, leaf in leaves(space)
        ]
        number, flag = spaces.Box(-np.inf, np.inf, ()), spaces.Box(0, 1, (), dtype=np.bool_)  # type: ignore[arg-type]
        self._reward = ArrayContract("reward", number, (num_envs,))
        self._terminated = ArrayContract("terminated", flag, (num_envs,))
        self._truncated = ArrayContract("truncated", flag, (num_envs,))

    def reset(self, answer: Any) -> tuple[Observation, Mapping[str, Any]]:
        """(observation, info) of what a vector environment's `reset` returned. Raises FaultyTaskError."""
        try:
            raw, info = unpacked("reset", answer, ("observation", "info"))
            self._warn_of_undeclared(raw, info)
            self._warn_of_masks(info)
            return self._observation(raw, 0), info
        except Breach as breach:
            raise breach.error(self._task_id, 0) from None

    def step(self, answer: Any, step: int) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, Mapping[str, Any]]:
        """(observation, reward float32[E], terminated bool[E], truncated bool[E], info) of what `step` returned.

        Every array is fresh. `step` counts from 1. Raises FaultyTaskError; NotFiniteTaskError, a subclass, for a number
        that is not finite.
        """
        try:
            raw, reward, terminated, truncated, info = unpacked("step", answer, STEP)
            rewards = self._reward.array(reward)
            self._reward.check(rewards, self._task_id, step)
            return (
                self._observation(raw, step),
                rewards,
                self._terminated.array(terminated),
                self._truncated.array(truncated),
                info,
            )
        except Breach as breach:
            raise breach.error(self._task_id, step) from None

    def _warn_of_undeclared(self, raw: Any, info: Mapping[str, Any]) -> None:
        """Warns once of what an observation has beside its space, seen in this batch or by a `CheckedEnv`."""
        here = undeclared_keys(self._space, raw)
        if self._has_masks and MASK in here:  # a vectorised version's mask, which `VectorMasks` has read
            here.remove(MASK)
        keys = next((each for each in info.get(UNDECLARED, ()) if each), ", ".join(here))
        if keys:
            line = f"{self._task_id}: the observation has {keys}, which its space doesn't declare: left out"
            warn_once(line, self._task_id, UNDECLARED)

    def _warn_of_masks(self, info: Mapping[str, Any]) -> None:
        """Warns once of masks that are given and not used."""
        if self._has_masks:
            return
        place = "info" if MASK in info or UNUSED_MASK in info else "observation" if self._observes_masks else ""
        if place:
            line = f'{self._task_id} gives {place}["{MASK}"], which task.action_masks = true would make use of'
            warn_once(line, self._task_id, MASK)

    def _observation(self, raw: Any, step: int) -> Observation:
        flat = {}
        for name, path, declared, dtype in self._parts:
            part = raw
            try:
                for key in path:
                    part = part[key]
            except (TypeError, LookupError):
                raise Breach(declared.what, "is missing") from None
            array = declared.array(part)
            declared.check(array, self._task_id, step)
            flat[name] = array if array.dtype == dtype else cast(array, dtype, declared.what)
        return flat


STEP = ("observation", "reward", "terminated", "truncated", "info")


def unpacked(call: str, answer: Any, parts: tuple[str, ...]) -> tuple[Any, ...]:
    """`answer`, if it is a tuple of as many elements as `parts` and the last is a dict; else raises Breach.

    `call` and `parts`, the names of the tuple's elements, are for the error.
    """
    if not isinstance(answer, tuple) or len(answer) != len(parts):
        raise Breach(call, f"gave {shown(answer)}, not ({', '.join(parts)})")
    if not isinstance(answer[-1], dict):
        raise Breach(call, f"gave the info {shown(answer[-1])}, not a dict")
    return answer
