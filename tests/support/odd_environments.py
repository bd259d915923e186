"""Small gymnasium tasks that misbehave, each in ways of its own; `toy_environments` registers them."""

import os
import time
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from tests.support.toy_environments import Counter


class Broken(gymnasium.Env):
    """Fails to be made, always or in a process of its own, ends that process, or lies about its observation's shape."""

    def __init__(self, how: str = "constructor") -> None:
        if how == "constructor" or (how == "in a process" and parent_process() is not None):
            raise RuntimeError("the simulator\ndid not start")
        if how == "at length" and parent_process() is not None:
            raise RuntimeError("x" * 200_000 + " did not start")
        if how == "ends its process" and parent_process() is not None:
            os._exit(7)
        self.observation_space = spaces.Box(-1.0, 1.0, (3,))
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}


class Odd(gymnasium.Env):
    """Observes `observation` for ever, rewarded by 1; at step `at` (0: at all) it answers what `spoil` makes of that.

    `spoil` takes and gives (observation, reward, terminated, truncated, info). `info` is a right one.
    """

    def __init__(
        self,
        space: gymnasium.Space,
        observation: Any,
        spoil: Any = lambda *right: right,
        at: int = 3,
        info: dict | None = None,
    ) -> None:
        self.observation_space, self.action_space = space, spaces.Discrete(2)
        self._observation, self._spoil, self._at, self._info = observation, spoil, at, info or {}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self._count = 0
        return self._observation, self._info

    def step(self, action: int) -> Any:
        self._count += 1
        right = (self._observation, 1.0, False, False, self._info)
        return self._spoil(*right) if self._at in (0, self._count) else right


class OneArray(gymnasium.Env):
    """Counts its steps in one array, which it gives again and again, or as a view from behind ("reversed").

    With `shared`, all environments of a process count in the same array. Ends after five steps.
    """

    ARRAY = np.zeros(2, np.float32)

    def __init__(self, how: str = "same", shared: bool = False) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,))
        self.action_space = spaces.Discrete(2)
        self._how, self._array = how, self.ARRAY if shared else np.zeros(2, np.float32)
        self._start, self._count = 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        if seed is not None:
            self._start = seed % 1000 * 1000
        self._count = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._count += 1
        return self._observe(), 1.0, self._count == 5, False, {}

    def _observe(self) -> np.ndarray:
        self._array[:] = self._start + self._count, -self._count
        return self._array[::-1] if self._how == "reversed" else self._array


class Stalls(Counter):
    """A `Counter` whose `at`-th step never ends; in no process that finds the file `once`, which the first makes."""

    def __init__(self, at: int, once: str) -> None:
        super().__init__()
        self._left, self._once = at, Path(once)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._left -= 1
        if self._left == 0 and not self._once.exists():
            self._once.touch()
            while True:
                time.sleep(60)
        return super().step(action)


class NeverMade(Counter):
    """A `Counter` whose constructor never returns if it `hangs`: "always", or only in processes of its own.

    For the latter `hangs` is a folder, where each of these makes a file. By default it is made, to be listed.
    """

    def __init__(self, hangs: str = "") -> None:
        super().__init__()
        if not hangs or (hangs != "always" and parent_process() is None):
            return
        if hangs != "always":
            Path(hangs, str(os.getpid())).touch()
        while True:
            time.sleep(60)


class Draws(Counter):
    """A `Counter` whose frames are of 5 × 3 pixels, or what `how` says: none, raises, grows, floats."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(self, how: str = "", render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode, self._draws = render_mode, how

    def render(self) -> Any:
        if self._draws == "none":
            return None
        if self._draws == "raises":
            raise RuntimeError("no\ndisplay")
        if self._draws == "floats":
            return [[[self._count / 10] * 3] * 5] * 3
        return np.full((3, 5 + self._count if self._draws == "grows" else 5, 3), self._count, np.uint8)


class TwoArgumentsError(Exception):
    """One that can't be made again from its text, as simulators' own are."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


class Fails(Counter):
    """A `Counter` that fails at its `at`-th step in the way `how`, or at the reset that follows it ("reset").

    Not where the file `once` is, which it makes.
    """

    def __init__(self, how: str = "raises", at: int = 5, once: str = "", ends_at: int = 4) -> None:
        super().__init__(ends_at)
        self._left, self._fails, self._once = at, how, once

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        if self._fails == "reset" and self._left <= 0:
            self._fail()
        return super().reset(seed=seed)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._left -= 1
        if self._fails != "reset" and self._left <= 0:
            self._fail()
        return super().step(action)

    def _fail(self) -> None:
        if self._once:
            if Path(self._once).exists():
                return
            Path(self._once).touch()
        if self._fails == "ends its process":
            os._exit(11)
        raise {
            "raises": RuntimeError("the simulator\nis gone"),
            "reset": RuntimeError("no new episode"),
            "asserts": AssertionError("joint limits\nviolated"),
            "says nothing": RuntimeError(),
            "at its end of file": EOFError("the socket is closed"),
            "exits": SystemExit(3),
            "oddly": TwoArgumentsError(7, "robot lost"),
        }[self._fails]


class OddRewards(Counter):
    """A `Counter` that never ends, whose rewards are 1 as a number of another kind at each step."""

    KINDS = (int, bool, float, np.float32, np.int8, np.array, lambda one: np.array([one]))

    def __init__(self) -> None:
        super().__init__(ends_at=0)

    def step(self, action: int) -> tuple[np.ndarray, Any, Any, Any, dict]:
        observation, _, terminated, truncated, info = super().step(action)
        reward = self.KINDS[self._count % len(self.KINDS)](1)
        return observation, reward, np.bool_(terminated), np.array(truncated), info
