"""Legal actions from `info["action_mask"]`: checked for one environment, put together for a batch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdqn.tasks.contract import Breach, shown

_KEY = "action_mask"
_MASK = f'info["{_KEY}"]'


def checked_mask(num_actions: int, task_id: str, info: Mapping[str, Any], is_over: bool) -> dict[str, Any]:
    """{"action_mask": bool[A]} of what one environment gave; raises Breach.

    What follows a termination is never asked: no mask is needed there.
    """
    if info.get(_KEY) is None:
        if is_over:
            return {}
        raise Breach("task.action_masks", f"is true, but {task_id} gives no {_MASK}")
    given = np.array(info[_KEY])
    if given.shape != (num_actions,):
        raise Breach(_MASK, f"has shape {given.shape}, not ({num_actions},)")
    if given.dtype.kind not in "biuf" or (given.dtype.kind == "f" and np.isnan(given).any()):
        raise Breach(_MASK, f"is {shown(given)}, not a boolean for each action")
    legal = given.astype(np.bool_)
    if not (legal.any() or is_over):
        raise Breach(_MASK, "has no legal action")
    return {_KEY: legal}


def batched_masks(info: Mapping[str, Any], num_envs: int, num_actions: int) -> np.ndarray:
    """bool[E, A] of what `checked_mask` let pass; all True where it gave none."""
    legal = np.array(info.get(_KEY, np.zeros((num_envs, num_actions))), np.bool_)
    legal[~legal.any(axis=1)] = True  # gymnasium leaves False where an environment gave no mask
    return legal
