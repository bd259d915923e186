"""Small gymnasium tasks with known answers or known misbehaviour, for tests."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class Chain(gymnasium.Env):
    """Five states in a row. Action 0 goes left (and stays at the left end), action 1 right.

    Going right from the last state ends the task with reward 1; every other reward is 0. So with discount
    g the optimal values are Q(s, right) = g^(4 - s) and Q(s, left) = g^(5 - max(s - 1, 0)): the step
    itself, then the way from where it leads. Deterministic, but for the start when `random_start` is set.
    """

    LENGTH = 5

    def __init__(self, random_start: bool = False) -> None:
        self.observation_space = spaces.Discrete(self.LENGTH)
        self.action_space = spaces.Discrete(2)
        self._random_start = random_start
        self._position = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict]:
        super().reset(seed=seed)
        self._position = int(self.np_random.integers(self.LENGTH)) if self._random_start else 0
        return self._position, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        if action == 1 and self._position == self.LENGTH - 1:
            return self._position, 1.0, True, False, {}
        self._position = max(self._position + (1 if action == 1 else -1), 0)
        return self._position, 0.0, False, False, {}

    def get_state(self) -> dict:
        return {"position": self._position}

    def set_state(self, state: dict) -> None:
        self._position = state["position"]


def chain_values(discount: float) -> np.ndarray:
    """The optimal Q-values of `Chain`: float64[5 states, 2 actions]."""
    states = np.arange(Chain.LENGTH)
    left = discount ** (Chain.LENGTH - np.maximum(states - 1, 0))
    return np.stack([left, discount ** (Chain.LENGTH - 1 - states)], axis=1)


class Coins(gymnasium.Env):
    """Action 0 throws a coin, for 1 or 0, and then another, for 1 with 3/4 and else -1; action 1 ends it all with 0.25.

    So with a discount of 1/2 the return of action 0 is -0.5, 0.5 or 1.5, with probabilities 1/8, 1/2 and 3/8.
    """

    def __init__(self) -> None:
        self.observation_space = spaces.Discrete(2)
        self.action_space = spaces.Discrete(2)
        self._thrown = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict]:
        super().reset(seed=seed)
        self._thrown = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        if self._thrown:
            return 1, 1.0 if self.np_random.random() < 0.75 else -1.0, True, False, {}
        if action == 1:
            return 0, 0.25, True, False, {}
        self._thrown = 1
        return 1, float(self.np_random.random() < 0.5), False, False, {}


class Catch(gymnasium.Env):
    """A ball falls down a board of ten rows and five columns; the paddle on the bottom row is to catch it.

    Actions: 0 left, 1 stay, 2 right. An episode takes nine steps; the last gives +1 (caught) or -1.
    The optimal return is +1. A random player gets about -0.6. Observed as float32[50], with `board` as
    bool[10, 5, 1], or with `pixels` as uint8[40, 40, 1] or what else `dtype` says, of 0 and 255.
    """

    ROWS, COLUMNS = 10, 5
    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self, pixels: bool = False, board: bool = False, dtype: str = "uint8", render_mode: str | None = None
    ) -> None:
        self.render_mode = render_mode
        self._pixels, self._has_board, self._dtype = pixels, board, np.dtype(dtype)
        self.action_space = spaces.Discrete(3)
        if board:
            self.observation_space = spaces.Box(0, 1, (self.ROWS, self.COLUMNS, 1), np.bool_)
        elif pixels:
            self.observation_space = spaces.Box(0, 255, (40, 40, 1), self._dtype.type)
        else:
            self.observation_space = spaces.Box(0.0, 1.0, (self.ROWS * self.COLUMNS,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._row, self._ball, self._paddle = 0, int(self.np_random.integers(self.COLUMNS)), 2
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._paddle = int(np.clip(self._paddle + action - 1, 0, self.COLUMNS - 1))
        self._row += 1
        ended = self._row == self.ROWS - 1
        reward = (1.0 if self._ball == self._paddle else -1.0) if ended else 0.0
        return self._observe(), reward, ended, False, {}

    def render(self) -> np.ndarray:
        return np.repeat(self._picture(), 3, axis=2)

    def get_state(self) -> dict:
        return {"row": self._row, "ball": self._ball, "paddle": self._paddle}

    def set_state(self, state: dict) -> None:
        self._row, self._ball, self._paddle = state["row"], state["ball"], state["paddle"]

    def _board(self) -> np.ndarray:
        board = np.zeros((self.ROWS, self.COLUMNS), np.float32)
        board[self._row, self._ball] = 1.0
        board[-1, self._paddle] = 1.0
        return board

    def _picture(self) -> np.ndarray:
        return np.kron(self._board() * 255, np.ones((4, 8))).astype(np.uint8)[..., None]

    def _observe(self) -> np.ndarray:
        if self._has_board:
            return self._board().astype(bool)[..., None]
        return self._picture().astype(self._dtype) if self._pixels else self._board().ravel()


class Masked(gymnasium.Env):
    """A walk along positions 0 … 3; at position p, action p % 3 is illegal and raises if taken.

    Any legal action moves one on. At position 3 the task ends (with `endless`, it goes on from 0 instead).
    `omit` leaves the mask out everywhere, at the end ("end"), or makes it all False somewhere ("empty").
    The mask is in every one of `places` ("info", "observation", "method"), of type `form`, or logits.
    """

    def __init__(self, endless: bool = False, omit: str = "", places: str = "info", form: str = "int8") -> None:
        self.observation_space: spaces.Space = spaces.Discrete(4)
        if "observation" in places:
            low, high = (-np.inf, 0.0) if form == "logits" else (0, 1)
            mask = spaces.Box(low, high, (3,), np.float32 if form == "logits" else np.dtype(form).type)
            self.observation_space = spaces.Dict({"position": spaces.Discrete(4), "action_mask": mask})
        self.action_space = spaces.Discrete(3)
        self._endless, self._omit, self._places, self._form = endless, omit, places, form
        self._position = 0
        if "method" in places:
            self.action_masks = self._mask

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self._position = 0
        return self._observe(), self._info()

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        if action == self._position % 3:
            raise ValueError(f"action {action} is illegal at position {self._position}")
        self._position = (self._position + 1) % 4
        return self._observe(), 1.0, self._position == 3 and not self._endless, False, self._info()

    def _observe(self) -> Any:
        if "observation" not in self._places:
            return self._position
        return {"position": self._position, "action_mask": self._mask()}

    def _info(self) -> dict:
        is_left_out = self._omit == "everywhere" or (self._omit == "end" and self._position == 3)
        return {} if is_left_out or "info" not in self._places else {"action_mask": self._mask()}

    def _mask(self) -> np.ndarray:
        is_legal = np.arange(3) != self._position % 3
        if self._omit == "empty" and self._position == 1:
            is_legal[:] = False
        if self._form == "logits":
            return np.where(is_legal, 0, -np.inf).astype(np.float32)
        return is_legal.astype(self._form)


class StartAtThree(gymnasium.Env):
    """Actions are 3 and 4, and any other raises; the reward is the action. Never ends by itself."""

    def __init__(self) -> None:
        self.observation_space = spaces.Discrete(2, start=-1)
        self.action_space = spaces.Discrete(2, start=3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict]:
        super().reset(seed=seed)
        return -1, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        if action not in (3, 4):
            raise ValueError(f"action {action} is not 3 or 4")
        return 0, float(action), False, False, {}


class Counter(gymnasium.Env):
    """Counts its steps and observes the count. It ends at `ends_at` in every way named in `how`.

    `nan` puts a NaN into the observation or the reward from step `nan_from` on.
    """

    def __init__(self, ends_at: int = 3, how: str = "terminated", nan: str = "", nan_from: int = 0) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float64)
        self.action_space = spaces.Discrete(2)
        self._ends_at, self._how, self._nan, self._nan_from = ends_at, how, nan, nan_from

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._count = 0
        return np.zeros(1), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._count += 1
        ended, spoilt = self._count == self._ends_at, self._nan and self._count >= self._nan_from
        observation = np.full(1, np.nan if spoilt and self._nan == "observation" else self._count)
        reward = np.nan if spoilt and self._nan == "reward" else 1.0
        terminated, truncated = (ended and way in self._how for way in ("terminated", "truncated"))
        return observation, reward, terminated, truncated, {}


class Nested(gymnasium.Env):
    """Observes a Dict (or with `kind = "tuple"` a Tuple) of a step count in several guises. Ten steps."""

    def __init__(self, kind: str = "dict") -> None:
        self.action_space = spaces.Discrete(2)
        parts: dict[str, gymnasium.Space] = {
            "count": spaces.Discrete(11),
            "place": spaces.Dict({"x": spaces.Box(-1.0, 1.0, (2,)), "bits": spaces.MultiBinary(3)}),
        }
        self._kind = kind
        self.observation_space = spaces.Dict(parts) if kind == "dict" else spaces.Tuple(tuple(parts.values()))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self._count = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        self._count += 1
        return self._observe(), 1.0, self._count == 10, False, {}

    def _observe(self) -> Any:
        x = np.full(2, self._count / 10, np.float32)
        bits = np.array([self._count >> i & 1 for i in range(3)], np.int8)
        parts = {"count": self._count, "place": {"x": x, "bits": bits}}
        return parts if self._kind == "dict" else tuple(parts.values())


_HERE, _ODD = __name__, "tests.support.odd_environments"
gymnasium.register("OddRewards-v0", f"{_ODD}:OddRewards")
gymnasium.register("Fails-v0", f"{_ODD}:Fails")
gymnasium.register("Draws-v0", f"{_ODD}:Draws")
gymnasium.register("Chain-v0", f"{_HERE}:Chain", max_episode_steps=50)
gymnasium.register("Coins-v0", f"{_HERE}:Coins")
gymnasium.register("Catch-v0", f"{_HERE}:Catch", reward_threshold=0.95)
gymnasium.register("Masked-v0", f"{_HERE}:Masked")
gymnasium.register("StartAtThree-v0", f"{_HERE}:StartAtThree", max_episode_steps=5)
gymnasium.register("Counter-v0", f"{_HERE}:Counter")
gymnasium.register("Nested-v0", f"{_HERE}:Nested")
gymnasium.register("Odd-v0", f"{_ODD}:Odd")
gymnasium.register("OneArray-v0", f"{_ODD}:OneArray")
gymnasium.register("Stalls-v0", f"{_ODD}:Stalls")
gymnasium.register("NeverMade-v0", f"{_ODD}:NeverMade")
gymnasium.register("Broken-v0", f"{_ODD}:Broken")
