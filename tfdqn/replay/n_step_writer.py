"""`NStepWriter`: makes n-step transitions, as rows of bytes, from the steps of a batch of environments.

`TDErrorWriter` also computes each transition's TD error, from the actor's Q-values.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

import numpy as np

from tfdqn.config import Config
from tfdqn.errors import NotFiniteError
from tfdqn.networks.best_actions import best_value_numpy
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.types import Experience, Step


class Insert(Protocol):
    """Takes finished transitions into replay; it must copy them."""

    def __call__(self, rows: np.ndarray, errors: np.ndarray | None = None, /) -> None:
        """Takes uint8[N, row_bytes] and, if the actor computes them, absolute TD errors float32[N]."""


# Indices of N windows. A slice selects all environments, since indexing by a slice doesn't copy.
Slots: TypeAlias = int | np.ndarray  # one slot for all of them, or int[N]
Envs: TypeAlias = slice | np.ndarray  # int[N]


class NStepWriter:
    """Makes transitions (o_t, a_t, R, discount, o_{t+k}), k <= n, with R = Σ_{i<k} γ^i r_{t+i} and discount γ^k or 0.

    At each step every environment opens a window, which becomes a transition when it closes: with n rewards, or when
    the episode ends. Open windows are in a ring of n slots. With n = 4, step t opens those of slot 2:

        slot                      0        1        2        3
        opened at step          t - 2    t - 1      t      t - 3
        rewards, with step t's    3        2        1        4
                                                 newest   oldest

    The oldest slot's windows now have n rewards and close, so the next step opens its own there.

    The discount is 0 if the episode terminated; it stays γ^k if the episode was truncated, and o_{t+k} is then the true
    last observation. A step that only resets an environment opens no window, and drops those that an abandoned episode
    left open.

    If n and γ are scheduled, the ring has the longest n. A window keeps the γ with which it opened, and closes once it
    has the current n rewards.

    `insert` takes each environment's oldest transition first.
    """

    def __init__(self, codec: TransitionCodec, num_envs: int, horizon: Horizon, insert: Callable[[np.ndarray], None]):
        self._codec, self._horizon, self._insert = codec, horizon, insert
        self._n = n = horizon.longest
        self._has_schedule = not horizon.is_constant
        # Windows, [slot, environment].
        self._windows = codec.empty(n, num_envs)
        self._fields = {name: self._windows[name] for name in self._windows.dtype.names or ()}
        self._returns = np.zeros((n, num_envs))  # R, summed in float64 and rounded to float32 once
        self._is_open = np.zeros((n, num_envs), bool)
        self._next_slot = 0  # where the next step's windows open; until then the oldest
        self._num_full = 1  # how many of the oldest slots have n rewards: more than one while n is below the longest
        # Powers of each slot's γ, computed only when it changes.
        self._ages = (np.arange(n)[:, None] - np.arange(n)) % n  # [newest slot, slot]: steps since it opened
        self._reward_weights = np.zeros((n, n, 1))  # [newest slot, slot]: γ^age, the weight of the step's reward in R
        self._discounts = np.zeros((n, n + 1))  # [slot, k]: γ^k
        for slot in range(n):
            self._set_discount(slot, horizon.discount)

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many transitions it finished.

        Raises NotFiniteError if a sum of rewards is too large for float32.
        """
        step, newest = experience.step, self._next_slot
        oldest = self._next_slot = (newest + 1) % self._n
        if self._has_schedule:
            self._follow_schedule(newest, experience.env_steps)
        self._open_windows(newest, experience)
        self._returns += self._reward_weights[newest] * step.reward
        slots, envs = self._windows_to_close(oldest, step)
        return self._close_windows(slots, envs, oldest, step)

    def state(self) -> dict[str, np.ndarray]:
        """The open windows."""
        return {
            "windows": self._codec.to_bytes(self._windows.reshape(-1)).copy(),
            "returns": self._returns.copy(),
            "is_open": self._is_open.copy(),
            "newest": np.array([self._next_slot]),  # the name in checkpoints
            **({"discounts": self._discounts[:, 1].copy()} if self._has_schedule else {}),
        }

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned. Raises ValueError if that was for another task or another n."""
        self._windows[:] = self._codec.from_bytes(arrays["windows"]).reshape(self._windows.shape)
        self._returns[:] = arrays["returns"]
        self._is_open[:] = arrays["is_open"]
        self._next_slot = int(arrays["newest"][0])
        if self._has_schedule:
            for slot, discount in enumerate(arrays["discounts"]):
                self._set_discount(slot, discount)

    def _follow_schedule(self, newest: int, env_steps: int) -> None:
        n, discount = self._horizon.at(env_steps)
        self._num_full = self._n - n + 1
        self._set_discount(newest, discount)

    def _set_discount(self, slot: int, discount: float) -> None:
        """Sets the γ of the windows in a slot."""
        powers = discount ** np.arange(self._n + 1)
        self._discounts[slot] = powers
        self._reward_weights[:, slot, 0] = powers[self._ages[:, slot]]

    def _open_windows(self, newest: int, experience: Experience) -> None:
        is_reset = experience.step.is_reset
        self._is_open[newest] = True
        if is_reset.any():
            self._is_open[:, is_reset] = False
        self._returns[newest] = 0
        for key, value in experience.observation.items():
            self._fields[f"observation/{key}"][newest] = value
        self._fields["action"][newest] = experience.action
        if experience.legal_actions is not None:
            self._fields["legal_actions"][newest] = experience.legal_actions

    def _windows_to_close(self, oldest: int, step: Step) -> tuple[Slots, Envs]:
        """The windows that have n rewards, and all of the episodes that ended; the oldest first."""
        ended = (step.terminated | step.truncated) & ~step.is_reset
        if self._num_full == 1 and (self._n == 1 or not ended.any()):  # as a rule: only those of the oldest slot
            is_open = self._is_open[oldest]
            return oldest, slice(None) if is_open.all() else np.flatnonzero(is_open)
        oldest_first = (oldest + np.arange(self._n)) % self._n
        closes = self._is_open[oldest_first]
        closes[self._num_full :] &= ended
        order, envs = np.nonzero(closes)
        return oldest_first[order], envs

    def _close_windows(self, slots: Slots, envs: Envs, oldest: int, step: Step) -> int:
        """Completes these windows by the state in which the step has ended; returns how many reached replay."""
        terminated = step.terminated[envs]
        num_rewards = self._n - (slots - oldest) % self._n
        self._round_returns(slots, envs)
        self._fields["discount"][slots, envs] = self._discounts[slots, num_rewards] * ~terminated
        for key, value in step.observation.items():
            self._fields[f"next_observation/{key}"][slots, envs] = value[envs]
        if step.legal_actions is not None:
            self._fields["next_legal_actions"][slots, envs] = step.legal_actions[envs]
        self._is_open[slots, envs] = False
        return self._deliver(slots, envs, terminated)

    def _deliver(self, slots: Slots, envs: Envs, terminated: np.ndarray) -> int:
        """Inserts the transitions of closed windows; returns how many.

        `terminated`, bool[N], says whose episode has: `TDErrorWriter` inserts these, and lets the others wait.
        """
        rows = self._windows[slots, envs]
        if len(rows):
            self._insert(self._codec.to_bytes(rows))
        return len(rows)

    def _round_returns(self, slots: Slots, envs: Envs) -> None:
        """Stores R in the rows as float32. Raises NotFiniteError for a sum of rewards that is too large for that."""
        try:
            with np.errstate(over="raise"):
                self._fields["reward"][slots, envs] = self._returns[slots, envs]
        except FloatingPointError:
            returns = self._returns[slots, envs]
            largest = int(np.abs(returns).argmax())
            environment = np.arange(self._returns.shape[1])[envs][largest]
            raise NotFiniteError(
                f"the sum of {self._n} rewards of environment {environment} is {returns[largest]:g}, which is not "
                "finite in float32; let the task give smaller rewards"
            ) from None


class TDErrorWriter(NStepWriter):
    """Computes the absolute TD errors of new transitions, so that actors can set their initial priorities.

    An error is |reward_scale · R + γ^k max_a Q(o_{t+k}, a) − Q(o_t, a_t)|, summed over branches (Horgan et al. 2018,
    algorithm 1: 'calculate priorities for experience'). Its Q-values are those by which the actor chose its actions,
    and those of o_{t+k} come with the next step:

        step t + k - 1: the window closes. If the episode terminated, no Q-values are needed, and the transition is
                        inserted; otherwise it waits, in its slot of the ring.
        step t + k:     the actor has computed those of o_{t+k}, after a truncation too, on the row that only resets
                        the environment. The transition is inserted before its slot is opened again.
    """

    def __init__(self, config: Config, codec: TransitionCodec, num_envs: int, insert: Insert):
        super().__init__(codec, num_envs, Horizon.of(config.agent), insert)
        self._insert_with_errors = insert
        self._reward_scale = config.agent.reward_scale
        action_shape = codec.dtype["action"].shape  # (D,) for D branches, else ()
        self._q_taken = np.zeros((*self._is_open.shape, *action_shape), np.float32)  # Q(o_t, a_t) of every window
        self._is_waiting = np.zeros(self._is_open.shape, bool)  # closed windows whose last state has no value yet

    def write(self, experience: Experience) -> int:
        """As `NStepWriter.write`, but returns how many transitions were inserted, not how many were finished."""
        assert experience.q_values is not None
        inserted = self._insert_waiting(best_value_numpy(experience.q_values, experience.legal_actions))
        self._q_taken[self._next_slot] = _values_of_actions(experience.q_values, experience.action)
        return inserted + super().write(experience)

    def state(self) -> dict[str, np.ndarray]:
        """The open windows, and the transitions that wait for the value of their last state."""
        return super().state() | {"q_taken": self._q_taken.copy(), "is_waiting": self._is_waiting.copy()}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned. Raises ValueError if that was for another task or another n."""
        super().load_state(arrays)
        self._q_taken[:] = arrays["q_taken"]
        self._is_waiting[:] = arrays["is_waiting"]

    def _insert_waiting(self, values: np.ndarray) -> int:
        """Inserts the waiting transitions, given the values float32[E] of the current states; returns how many."""
        oldest_first = (self._next_slot + np.arange(self._n)) % self._n
        order, envs = np.nonzero(self._is_waiting[oldest_first])
        slots = oldest_first[order]
        if len(slots):
            self._is_waiting[:] = False
            self._insert_rows(self._windows[slots, envs], self._q_taken[slots, envs], values[envs])
        return len(slots)

    def _deliver(self, slots: Slots, envs: Envs, terminated: np.ndarray) -> int:
        self._is_waiting[slots, envs] = ~terminated
        if not terminated.any():
            return 0
        rows, q_taken = self._windows[slots, envs][terminated], self._q_taken[slots, envs][terminated]
        self._insert_rows(rows, q_taken, np.zeros(len(rows), np.float32))
        return len(rows)

    def _insert_rows(self, rows: np.ndarray, q_taken: np.ndarray, values: np.ndarray) -> None:
        """Inserts N transitions with their errors, given Q(o_t, a_t) and the values of o_{t+k}, float32[N]."""
        target = self._reward_scale * rows["reward"] + rows["discount"] * values
        has_branches = q_taken.ndim == 2
        errors = np.abs(target[:, np.newaxis] - q_taken).sum(axis=1) if has_branches else np.abs(target - q_taken)
        self._insert_with_errors(self._codec.to_bytes(rows), errors.astype(np.float32))


def _values_of_actions(q_values: np.ndarray, action: np.ndarray) -> np.ndarray:
    """Q(o, a) of actions int32[E], float32[E]; with branches, of int32[E, D], float32[E, D]."""
    if action.ndim == 1:  # takes a third of the time
        return q_values[np.arange(len(action)), action]
    return np.take_along_axis(q_values, action[..., np.newaxis], axis=-1)[..., 0]


def make_n_step_writer(config: Config, codec: TransitionCodec, num_envs: int, insert: Insert) -> NStepWriter:
    """Makes an n-step writer, which passes TD errors to `insert` as well if `priorities.new_items` is "actor"."""
    if config.priorities.are_used and config.priorities.new_items == "actor":
        return TDErrorWriter(config, codec, num_envs, insert)
    return NStepWriter(codec, num_envs, Horizon.of(config.agent), insert)
