"""`TDErrorWriter`: an n-step writer that also computes each transition's TD error, from the actor's Q-values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfdqn.config import Config
from tfdqn.networks.best_actions import best_value_numpy
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter

if TYPE_CHECKING:
    from tfdqn.types import Experience, Step

# (rows uint8[N, row_bytes]), or (rows, TD errors float32[N]); it must copy them.
Insert = Callable[..., None]


def make_n_step_writer(config: Config, codec: TransitionCodec, num_envs: int, insert: Insert) -> NStepWriter:
    """Makes an n-step writer, which passes TD errors to `insert` as well if `priorities.new_items` is "actor"."""
    has_errors = config.priorities.are_used and config.priorities.new_items == "actor"
    if has_errors:
        return TDErrorWriter(config, codec, num_envs, insert)
    return NStepWriter(codec, num_envs, Horizon.of(config.agent), insert)


class TDErrorWriter(NStepWriter):
    """Computes the absolute TD errors of new transitions, so that actors can set their initial priorities.

    An error is |reward_scale · R + γ^k max_a Q(o_{t+k}, a) − Q(o_t, a_t)|, summed over branches (Horgan et al. 2018,
    algorithm 1: 'calculate priorities for experience'). Its Q-values are those by which the actor chose its actions,
    so a transition is inserted only once the actor has acted in o_{t+k}, one step after it is finished. It never acts
    in the last state of a truncated episode: the error is then NaN (unknown).
    """

    def __init__(self, config: Config, codec: TransitionCodec, num_envs: int, insert: Insert):
        super().__init__(codec, num_envs, Horizon.of(config.agent), insert)
        self._insert_with_errors = insert
        self._reward_scale = config.agent.reward_scale
        action_shape = codec.dtype["action"].shape  # (D,) for D branches, else ()
        self._q_taken = np.zeros((*self._is_open.shape, *action_shape), np.float32)  # Q(o_t, a_t) of every window
        self._is_waiting = np.zeros(self._is_open.shape, bool)  # finished windows whose last state has no value yet

    def write(self, experience: Experience) -> int:
        """As `NStepWriter.write`, but returns how many transitions were inserted, not how many were finished."""
        q_values, legal_actions, action = experience.q_values, experience.legal_actions, experience.action
        assert q_values is not None
        inserted = self._insert_waiting(best_value_numpy(q_values, legal_actions))
        if action.ndim == 1:  # takes a third of the time
            self._q_taken[self._newest] = q_values[np.arange(len(action)), action]
        else:
            self._q_taken[self._newest] = np.take_along_axis(q_values, action[..., np.newaxis], axis=-1)[..., 0]
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
        oldest_first = (self._newest + np.arange(self._n)) % self._n
        order, envs = np.nonzero(self._is_waiting[oldest_first])
        if len(envs):
            waiting = oldest_first[order], envs
            rows = self._windows[waiting]
            errors = self._errors(rows, values[envs], self._q_taken[waiting])
            self._is_waiting[:] = False
            self._insert_with_errors(self._codec.to_bytes(rows), errors)
        return len(envs)

    def _pass_on(self, rows: np.ndarray, closing: tuple[int | np.ndarray, np.ndarray | slice], step: Step) -> int:
        envs = np.arange(len(step.is_reset))[closing[1]]
        q_taken = self._q_taken[closing]
        is_last = (step.terminated | step.truncated)[envs]
        self._is_waiting[closing] = ~is_last
        if is_last.any():
            values = np.where(step.terminated[envs[is_last]], np.float32(0), np.float32(np.nan))
            errors = self._errors(rows[is_last], values, q_taken[is_last])
            self._insert_with_errors(self._codec.to_bytes(rows[is_last]), errors)
        return int(np.count_nonzero(is_last))

    def _errors(self, rows: np.ndarray, values: np.ndarray, q_taken: np.ndarray) -> np.ndarray:
        target = self._reward_scale * rows["reward"] + rows["discount"] * values
        if q_taken.ndim == 1:
            return np.abs(target - q_taken).astype(np.float32)
        return np.abs(target[:, np.newaxis] - q_taken).sum(axis=1).astype(np.float32)
