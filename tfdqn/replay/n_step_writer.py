"""`NStepWriter`: steps of a batch of environments → finished n-step transitions, as rows of bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfdqn.errors import NotFiniteError
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon

if TYPE_CHECKING:
    from tfdqn.types import Experience, Step


class NStepWriter:
    """Finishes (o_t, a_t, R, discount, o_{t+k}), k <= n: R = Σ_{i<k} γ^i r_{t+i}, discount = γ^k, or 0.

    Each environment has up to n open windows, one per recent step, in a ring of n slots. A window closes when
    n rewards are in it or its episode ends; the discount is 0 where the episode terminated, and stays γ^k
    where it was truncated: o_{t+k} is then the true last observation. Rows that only carry a reset open no
    window, and drop whatever an abandoned episode left open.

    By a schedule, a window keeps the γ with which it opened, and closes as soon as it has as many rewards as n then is.

    `insert` takes uint8[N, row_bytes], each environment's oldest transition first, and must copy it.
    """

    def __init__(self, codec: TransitionCodec, num_envs: int, horizon: Horizon, insert: Callable[[np.ndarray], None]):
        self._codec = codec
        self._n = n_step = horizon.longest
        self._insert = insert
        self._horizon, self._is_constant = horizon, horizon.is_constant
        self._full = 1  # how many of the oldest slots have n rewards: more than one where n is not the longest
        self._ages = (np.arange(n_step)[:, None] - np.arange(n_step)) % n_step  # by the newest slot, of every slot
        self._powers = np.tile(horizon.discount ** np.arange(n_step + 1), (n_step, 1))  # of every slot, γ^0 … γ^n
        self._weights = self._powers[0][self._ages][:, :, None]  # by the newest slot: γ^age of every slot
        self._windows = codec.empty(n_step, num_envs)
        self._fields = {name: self._windows[name] for name in self._windows.dtype.names or ()}
        self._returns = np.zeros((n_step, num_envs))  # in float64: what R is before it is rounded once
        self._is_open = np.zeros((n_step, num_envs), bool)
        self._newest = 0  # the slot of the windows that open at this step

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many transitions it finished.

        Raises NotFiniteError if a sum of rewards is too large for float32.
        """
        step = experience.step
        if not self._is_constant:
            self._follow_schedule(experience.env_steps)
        self._open_windows(experience)
        self._returns += self._weights[self._newest] * step.reward
        oldest = (self._newest + 1) % self._n
        ended = (step.terminated | step.truncated) & ~step.is_reset
        self._newest = oldest
        if self._full > 1 or (self._n > 1 and ended.any()):
            return self._close_windows(*self._closing(oldest, ended), oldest, step)
        return self._close_windows(oldest, _true_indices(self._is_open[oldest]), oldest, step)

    def state(self) -> dict[str, np.ndarray]:
        """The open windows."""
        return {
            "windows": self._codec.to_bytes(self._windows.reshape(-1)).copy(),
            "returns": self._returns.copy(),
            "is_open": self._is_open.copy(),
            "newest": np.array([self._newest]),
            **({} if self._is_constant else {"discounts": self._powers[:, 1].copy()}),
        }

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned. Raises ValueError if it was another task's or another n's."""
        self._windows[:] = self._codec.from_bytes(arrays["windows"]).reshape(self._windows.shape)
        self._returns[:] = arrays["returns"]
        self._is_open[:] = arrays["is_open"]
        self._newest = int(arrays["newest"][0])
        if not self._is_constant:
            for slot, discount in enumerate(arrays["discounts"]):
                self._set_discount(slot, discount)

    def _follow_schedule(self, env_steps: int) -> None:
        n, discount = self._horizon.at(env_steps)
        self._full = self._n - n + 1
        self._set_discount(self._newest, discount)

    def _set_discount(self, slot: int, discount: float) -> None:
        self._powers[slot] = discount ** np.arange(self._n + 1)
        self._weights[:, slot, 0] = self._powers[slot][self._ages[:, slot]]

    def _open_windows(self, experience: Experience) -> None:
        newest, is_reset = self._newest, experience.step.is_reset
        self._is_open[newest] = True
        if is_reset.any():
            self._is_open[:, is_reset] = False
        self._returns[newest] = 0
        for key, value in experience.observation.items():
            self._fields[f"observation/{key}"][newest] = value
        self._fields["action"][newest] = experience.action
        if experience.legal_actions is not None:
            self._fields["legal_actions"][newest] = experience.legal_actions

    def _closing(self, oldest: int, ended: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(slots, environments) of the windows to close: the full ones, and all of an ended episode."""
        oldest_first = (oldest + np.arange(self._n)) % self._n
        closing = self._is_open[oldest_first]
        closing[self._full :] &= ended
        order, envs = np.nonzero(closing)
        return oldest_first[order], envs

    def _close_windows(self, slots: int | np.ndarray, envs: np.ndarray | slice, oldest: int, step: Step) -> int:
        closing = (slots, envs)
        span = self._n - (slots - oldest) % self._n
        self._round_returns(closing)
        self._fields["discount"][closing] = self._powers[slots, span] * ~step.terminated[envs]
        for key, value in step.observation.items():
            self._fields[f"next_observation/{key}"][closing] = value[envs]
        if step.legal_actions is not None:
            self._fields["next_legal_actions"][closing] = step.legal_actions[envs]
        self._is_open[closing] = False
        return self._pass_on(self._windows[closing], closing, step)

    def _pass_on(self, rows: np.ndarray, closing: tuple[int | np.ndarray, np.ndarray | slice], step: Step) -> int:
        """Inserts the finished transitions of these slots and environments; returns how many it inserted."""
        if len(rows):
            self._insert(self._codec.to_bytes(rows))
        return len(rows)

    def _round_returns(self, closing: tuple[int | np.ndarray, np.ndarray | slice]) -> None:
        """Raises NotFiniteError for a sum of rewards that float32 can't hold."""
        try:
            with np.errstate(over="raise"):
                self._fields["reward"][closing] = self._returns[closing]
        except FloatingPointError:
            returns = self._returns[closing]
            largest = int(np.abs(returns).argmax())
            environment = np.arange(self._returns.shape[1])[closing[1]][largest]
            raise NotFiniteError(
                f"the sum of {self._n} rewards of environment {environment} is {returns[largest]:g}, which is not "
                "finite in float32; let the task give smaller rewards"
            ) from None


def _true_indices(mask: np.ndarray) -> np.ndarray | slice:
    """The indices of true elements; a slice if all are true, since a slice copies nothing."""
    return slice(None) if mask.all() else np.flatnonzero(mask)
