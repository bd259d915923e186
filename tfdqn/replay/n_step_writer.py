"""`NStepWriter`: makes n-step transitions, as rows of bytes, from the steps of a batch of environments.

`TDErrorWriter` also computes each transition's TD error, from the actor's Q-values.
"""

from collections.abc import Callable, Mapping

import numpy as np

from tfdqn.config import Config
from tfdqn.errors import NotFiniteError
from tfdqn.networks.best_actions import best_value_numpy
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.types import Experience, Step

Insert = Callable[..., None]  # (rows uint8[N, row_bytes]), or (rows, TD errors float32[N]); it must copy them


class NStepWriter:
    """Makes transitions (o_t, a_t, R, discount, o_{t+k}), k <= n, with R = Σ_{i<k} γ^i r_{t+i} and discount γ^k or 0.

    Each environment has up to n open windows, one for each recent step, in a ring of n slots. A window closes when it
    has n rewards or its episode ends. The discount is 0 if the episode terminated; it stays γ^k if the episode was
    truncated, and o_{t+k} is then the true last observation. A step that only resets an environment opens no window,
    and drops those that an abandoned episode left open.

    If n and γ are scheduled, a window keeps the γ with which it opened, and closes once it has the current n rewards.

    `insert` takes each environment's oldest transition first.
    """

    def __init__(self, codec: TransitionCodec, num_envs: int, horizon: Horizon, insert: Insert):
        self._codec = codec
        self._n = n_step = horizon.longest
        self._insert = insert
        self._horizon, self._is_constant = horizon, horizon.is_constant
        self._full = 1  # how many of the oldest slots have n rewards: more than one while n is below the longest
        self._ages = (np.arange(n_step)[:, None] - np.arange(n_step)) % n_step  # [newest slot, slot]: steps since open
        self._powers = np.tile(horizon.discount ** np.arange(n_step + 1), (n_step, 1))  # [slot]: γ^0 … γ^n
        self._weights = self._powers[0][self._ages][:, :, None]  # [newest slot, slot]: γ^age
        self._windows = codec.empty(n_step, num_envs)
        self._fields = {name: self._windows[name] for name in self._windows.dtype.names or ()}
        self._returns = np.zeros((n_step, num_envs))  # R, summed in float64 and rounded to float32 once
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
        """Restores what `state` returned. Raises ValueError if that was for another task or another n."""
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
        """(slots, environments) of the windows to close: those with n rewards, and all of episodes that ended."""
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
        """Inserts the finished transitions of these windows; returns how many it inserted."""
        if len(rows):
            self._insert(self._codec.to_bytes(rows))
        return len(rows)

    def _round_returns(self, closing: tuple[int | np.ndarray, np.ndarray | slice]) -> None:
        """Stores R in the rows as float32. Raises NotFiniteError for a sum of rewards that is too large for that."""
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
    """The indices of the true elements; a slice if all are true, since indexing by a slice doesn't copy."""
    return slice(None) if mask.all() else np.flatnonzero(mask)


class TDErrorWriter(NStepWriter):
    """Computes the absolute TD errors of new transitions, so that actors can set their initial priorities.

    An error is |reward_scale · R + γ^k max_a Q(o_{t+k}, a) − Q(o_t, a_t)|, summed over branches (Horgan et al. 2018,
    algorithm 1: 'calculate priorities for experience'). Its Q-values are those by which the actor chose its actions,
    so a transition is inserted only once the actor has computed those of o_{t+k}, one step after it is finished: after
    a truncation too, on the row that only resets the environment. If the episode terminated, none are needed.
    """

    def __init__(self, config: Config, codec: TransitionCodec, num_envs: int, insert: Insert):
        super().__init__(codec, num_envs, Horizon.of(config.agent), insert)
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
            self._insert(self._codec.to_bytes(rows), errors)
        return len(envs)

    def _pass_on(self, rows: np.ndarray, closing: tuple[int | np.ndarray, np.ndarray | slice], step: Step) -> int:
        is_last = step.terminated[closing[1]]
        self._is_waiting[closing] = ~is_last
        if is_last.any():
            last = rows[is_last]
            errors = self._errors(last, np.zeros(len(last), np.float32), self._q_taken[closing][is_last])
            self._insert(self._codec.to_bytes(last), errors)
        return int(np.count_nonzero(is_last))

    def _errors(self, rows: np.ndarray, values: np.ndarray, q_taken: np.ndarray) -> np.ndarray:
        target = self._reward_scale * rows["reward"] + rows["discount"] * values
        if q_taken.ndim == 1:
            return np.abs(target - q_taken).astype(np.float32)
        return np.abs(target[:, np.newaxis] - q_taken).sum(axis=1).astype(np.float32)


def make_n_step_writer(config: Config, codec: TransitionCodec, num_envs: int, insert: Insert) -> NStepWriter:
    """Makes an n-step writer, which passes TD errors to `insert` as well if `priorities.new_items` is "actor"."""
    if config.priorities.are_used and config.priorities.new_items == "actor":
        return TDErrorWriter(config, codec, num_envs, insert)
    return NStepWriter(codec, num_envs, Horizon.of(config.agent), insert)
