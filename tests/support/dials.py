"""`Dials-v0`: a task whose action has several dimensions, each of which is right by itself alone."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Dials(gymnasium.Env):
    """Shows where each of several dials should be, and pays for how near they are set. Eight steps.

    Dial d shows k_d of 0, …, positions − 1, divided by positions − 1. A step sets all, and pays the mean over them of
    1 − |set − shown| / (positions − 1): 8 in all at best. The dials show anew whatever is set.

    Args:
      kind: of the action space: "multi_discrete", from −2 on; "box", float32[dials] from −1 to 1; "binary".
      narrow: dial d has d fewer positions, of the first kind alone.
    """

    STEPS = 8

    def __init__(self, dials: int = 6, positions: int = 5, kind: str = "multi_discrete", narrow: bool = False) -> None:
        self._counts = np.full(dials, positions) - (np.arange(dials) if narrow else 0)
        self._kind = kind
        self.action_space = {
            "multi_discrete": lambda: spaces.MultiDiscrete(self._counts, start=np.full(dials, -2)),
            "box": lambda: spaces.Box(-1.0, 1.0, (dials,), np.float32),
            "binary": lambda: spaces.MultiBinary(dials),
        }[kind]()
        self.observation_space = spaces.Box(0.0, 1.0, (dials,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._count = 0
        return self._show(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        if not self.action_space.contains(action):
            raise ValueError(f"{action!r} is no action")
        self._count += 1
        reward = float(1 - np.mean(np.abs(self._set(action) - self._shown)))
        return self._show(), reward, self._count == self.STEPS, False, {}

    def _show(self) -> np.ndarray:
        self._shown = self.np_random.integers(self._counts) / np.maximum(self._counts - 1, 1)
        return self._shown.astype(np.float32)

    def _set(self, action: np.ndarray) -> np.ndarray:
        if self._kind == "box":
            return (np.asarray(action, np.float64) + 1) / 2
        if self._kind == "binary":
            return np.asarray(action, np.float64)
        return (action + 2) / np.maximum(self._counts - 1, 1)


gymnasium.register("Dials-v0", f"{__name__}:Dials")
