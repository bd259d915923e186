"""`TDErrorWriter`: an n-step writer that adds to each transition its TD error by the acting network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfdqn.config import Config
from tfdqn.networks.legal_actions import best_value_numpy
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter

if TYPE_CHECKING:
    from tfdqn.types import Experience, Step

Insert = Callable[..., None]  # (rows uint8[N, row_bytes]), and the errors float32[N] where there are; it copies them


def make_n_step_writer(config: Config, codec: TransitionCodec, num_envs: int, insert: Insert) -> NStepWriter:
    """A writer that passes on what `priorities.new_items` needs: rows with TD errors, or rows alone."""
    has_errors = config.priorities.are_used and config.priorities.new_items == "actor"
    if has_errors:
        return TDErrorWriter(config, codec, num_envs, insert)
    return NStepWriter(codec, num_envs, Horizon.of(config.agent), insert)


class TDErrorWriter(NStepWriter):
    """|reward_scale · R + γ^k max_a Q(o_{t+k}, a) − Q(o_t, a_t)|, by the Q-values that actions were chosen by anyway;
    of branches, the sum over them (Horgan et al. 2018, algorithm 1: 'calculate priorities for experience').

    So a transition whose last state is acted in comes to replay one step later than it is finished; where an episode
    was truncated, and that state never is, the error is NaN: not known.
    """

    def __init__(self, config: Config, codec: TransitionCodec, num_envs: int, insert: Insert):
        super().__init__(codec, num_envs, Horizon.of(config.agent), insert)
        self._insert_with_errors = insert
        self._reward_scale = config.agent.reward_scale
        of_action = codec.dtype["action"].shape  # (D,) of branches
        self._q_taken = np.zeros((*self._is_open.shape, *of_action), np.float32)  # Q(o_t, a_t) of every window
        self._is_waiting = np.zeros(self._is_open.shape, bool)  # finished windows, until the next one opens there

    def write(self, experience: Experience) -> int:
        """As `NStepWriter.write`, but that transitions count when they come to replay."""
        q_values, legal_actions, action = experience.q_values, experience.legal_actions, experience.action
        assert q_values is not None
        inserted = self._insert_waiting(best_value_numpy(q_values, legal_actions))
        if action.ndim == 1:  # in a third of the time
            self._q_taken[self._newest] = q_values[np.arange(len(action)), action]
        else:
            self._q_taken[self._newest] = np.take_along_axis(q_values, action[..., np.newaxis], axis=-1)[..., 0]
        return inserted + super().write(experience)

    def state(self) -> dict[str, np.ndarray]:
        """The open windows, and the transitions that wait for a value."""
        return super().state() | {"q_taken": self._q_taken.copy(), "is_waiting": self._is_waiting.copy()}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned. Raises ValueError if it was another task's or another n's."""
        super().load_state(arrays)
        self._q_taken[:] = arrays["q_taken"]
        self._is_waiting[:] = arrays["is_waiting"]

    def _insert_waiting(self, values: np.ndarray) -> int:
        """Inserts the transitions that waited for the values float32[E] of the present states."""
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
