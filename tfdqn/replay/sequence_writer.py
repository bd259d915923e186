"""`SequenceWriter`: makes overlapping sequences, as rows of bytes, from the steps of a batch of environments."""

from collections.abc import Callable, Mapping

import numpy as np

from tfdqn.config import Config
from tfdqn.replay.codec import SequenceCodec, place_codec, with_places
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.storage.arrays import add_prefix, with_prefix
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Experience

# A sequence's field → the field of its steps' transitions that it is copied from.
_FIELDS = {
    "action": "action",
    "reward": "reward",
    "discount": "discount",
    "legal_tm1": "legal_actions",
    "legal_t": "next_legal_actions",
}


class SequenceWriter:
    """Cuts each episode into sequences of m steps, preceded by up to l burn-in steps and followed by n further ones.

    The first sequence starts with the episode, and each following one P = `sequence_period` steps after the previous
    one, until one reaches the end of the episode. So every step is in a sequence, and most are in m / P of them. A
    sequence is written once the n-step transitions of all its steps are finished, or the episode is over; if an
    episode is abandoned, its unwritten sequences are dropped. A sequence stores the policy state before its first
    observation, which is zero at the start of an episode. (Kapturowski et al. 2019, R2D2.)

    `insert` takes uint8[N, row_bytes], and must copy it.
    """

    def __init__(
        self,
        codec: SequenceCodec,
        config: Config,
        task_spec: TaskSpec,
        num_envs: int,
        insert: Callable[[np.ndarray], None],
    ):
        replay = config.replay
        self._codec, self._insert = codec, insert
        self._burn_in, self._length, self._period = replay.burn_in, replay.sequence_length, replay.sequence_period
        horizon = Horizon.of(config.agent)
        self._slots = replay.burn_in + replay.sequence_length + horizon.longest
        self._step_codec = place_codec(task_spec)
        self._windows = NStepWriter(self._step_codec, num_envs, horizon, self._keep_finished)
        # Ring buffers of the most recent times; time counts the calls of `write`.
        self._observations = {
            key: np.zeros((self._slots, num_envs, *spec.shape), spec.dtype)
            for key, spec in task_spec.observation.items()
        }
        self._states = np.zeros((self._slots, num_envs, config.network.state_size), np.float32)
        self._steps = self._step_codec.empty(self._slots, num_envs)  # finished n-step transitions
        self._time = 0
        # For each environment's episode: the time of its first step, and how many of its steps are finished and written
        self._begun, self._finished, self._covered = np.zeros((3, num_envs), np.int64)

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many steps were written for the first time.

        Raises NotFiniteError as `NStepWriter.write` does.
        """
        step, policy_state = experience.step, experience.policy_state
        here, there = self._time % self._slots, (self._time + 1) % self._slots
        for key, ring in self._observations.items():
            ring[here], ring[there] = experience.observation[key], step.observation[key]
        self._states[here] = policy_state[0] if policy_state else 0
        self._windows.write(with_places(experience, self._time))
        self._time += 1
        is_over = step.terminated | step.truncated | step.is_reset
        written = self._write_sequences(is_over & ~step.is_reset)
        self._begun[is_over] = self._time
        self._finished[is_over] = self._covered[is_over] = 0
        return written

    def state(self) -> dict[str, np.ndarray]:
        """The running episodes, as far back as their next sequences need them."""
        return {
            **{f"observation/{key}": ring.copy() for key, ring in self._observations.items()},
            **add_prefix("windows", self._windows.state()),
            "states": self._states.copy(),
            "steps": self._step_codec.to_bytes(self._steps.reshape(-1)).copy(),
            "counts": np.stack([self._begun, self._finished, self._covered]),
            "time": np.array([self._time]),
        }

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned. Raises ValueError if the task or the sequences' lengths differ."""
        for key, ring in self._observations.items():
            ring[:] = arrays[f"observation/{key}"]
        self._windows.load_state(with_prefix("windows", arrays))
        self._states[:] = arrays["states"]
        self._steps[:] = self._step_codec.from_bytes(arrays["steps"]).reshape(self._steps.shape)
        self._begun[:], self._finished[:], self._covered[:] = arrays["counts"]
        self._time = int(arrays["time"][0])

    def _keep_finished(self, rows: np.ndarray) -> None:
        steps = self._step_codec.from_bytes(rows)
        environments = steps["observation/env"]
        self._steps[steps["observation/time"] % self._slots, environments] = steps
        self._finished += np.bincount(environments, minlength=len(self._finished))

    def _write_sequences(self, ended: np.ndarray) -> int:
        """Writes all complete sequences, and the rest of the episodes that `ended` (bool[E]); returns as `write`."""
        before = self._covered.sum()
        sequences = []
        while True:
            is_due = self._finished - self._starts() >= self._length
            is_due |= ended & (self._covered < self._finished)
            if not is_due.any():
                break
            starts = self._starts()
            sequences += [self._sequence(env, starts[env]) for env in np.flatnonzero(is_due)]
        if sequences:
            self._insert(np.concatenate(sequences))
        return int(self._covered.sum() - before)

    def _starts(self) -> np.ndarray:
        """The first step of each episode's next sequence, int64[E]."""
        return np.where(self._covered, self._covered - self._length + self._period, 0)

    def _sequence(self, env: int, start: int) -> np.ndarray:
        """Makes the sequence that starts with step `start` of an environment's episode, uint8[1, row_bytes]."""
        burn_in = min(start, self._burn_in)
        steps = min(self._length, self._finished[env] - start)
        first = self._burn_in - burn_in
        observed = self._time - self._begun[env] - (start - burn_in) + 1
        observations = min(self._slots - first, observed)
        self._covered[env] = start + steps
        begin = self._begun[env] + start
        seen = (begin - burn_in + np.arange(observations)) % self._slots
        taken = self._steps[(begin + np.arange(steps)) % self._slots, env]
        row = self._codec.empty(1)
        for key, ring in self._observations.items():
            row[f"observation/{key}"][0, first : first + observations] = ring[seen, env]
        row["first"], row["state"] = first, self._states[seen[0], env]
        row["steps"][0, :steps] = taken["next_observation/time"] - taken["observation/time"]
        for name, field in _FIELDS.items():
            if field in (taken.dtype.names or ()):
                row[name][0, :steps] = taken[field]
        return self._codec.to_bytes(row)
