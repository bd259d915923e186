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
_STEP_FIELDS = {
    "action": "action",
    "reward": "reward",
    "discount": "discount",
    "legal_tm1": "legal_actions",
    "legal_t": "next_legal_actions",
}


class SequenceWriter:
    """Cuts each episode into sequences of m steps, preceded by up to l burn-in steps and followed by n further ones.

    The first sequence starts with the episode, and each following one P = `sequence_period` steps after the previous
    one, until one reaches the end of the episode. So every step is in a sequence, and most are in m / P of them. With
    m = 4, l = 2, n = 1 and P = 2, an episode of 9 steps gives:

        step of the episode   0 1 2 3 4 5 6 7 8
        sequences             m m m m n
                              l l m m m m n
                                  l l m m m m n
                                      l l m m m

    A sequence is written once the n-step transitions of all its m steps are finished, or the episode is over; if an
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
        # Rings of the most recent times, [time % slots, environment]; time counts the calls of `write`.
        self._observations = {
            key: np.zeros((self._slots, num_envs, *spec.shape), spec.dtype)
            for key, spec in task_spec.observation.items()
        }
        self._states = np.zeros((self._slots, num_envs, config.network.state_size), np.float32)
        self._steps = self._step_codec.empty(self._slots, num_envs)  # finished n-step transitions
        self._time = 0
        # Of each environment's episode:
        self._start_time = np.zeros(num_envs, np.int64)  # the time of its first step
        self._num_finished = np.zeros(num_envs, np.int64)  # how many of its steps have finished n-step transitions
        self._num_written = np.zeros(num_envs, np.int64)  # how many of its steps are in a sequence already

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many steps were written for the first time.

        Raises NotFiniteError as `NStepWriter.write` does.
        """
        step, policy_state = experience.step, experience.policy_state
        slot, next_slot = self._time % self._slots, (self._time + 1) % self._slots
        for key, ring in self._observations.items():
            ring[slot] = experience.observation[key]
            ring[next_slot] = step.observation[key]
        self._states[slot] = policy_state[0] if policy_state else 0
        self._windows.write(with_places(experience, self._time))
        self._time += 1
        ended = (step.terminated | step.truncated) & ~step.is_reset
        written = self._write_sequences(ended)
        starts_episode = ended | step.is_reset
        self._start_time[starts_episode] = self._time
        self._num_finished[starts_episode] = 0
        self._num_written[starts_episode] = 0
        return written

    def state(self) -> dict[str, np.ndarray]:
        """The running episodes, as far back as their next sequences need them."""
        return {
            **{f"observation/{key}": ring.copy() for key, ring in self._observations.items()},
            **add_prefix("windows", self._windows.state()),
            "states": self._states.copy(),
            "steps": self._step_codec.to_bytes(self._steps.reshape(-1)).copy(),
            "counts": np.stack([self._start_time, self._num_finished, self._num_written]),
            "time": np.array([self._time]),
        }

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned. Raises ValueError if the task or the sequences' lengths differ."""
        for key, ring in self._observations.items():
            ring[:] = arrays[f"observation/{key}"]
        self._windows.load_state(with_prefix("windows", arrays))
        self._states[:] = arrays["states"]
        self._steps[:] = self._step_codec.from_bytes(arrays["steps"]).reshape(self._steps.shape)
        self._start_time[:], self._num_finished[:], self._num_written[:] = arrays["counts"]
        self._time = int(arrays["time"][0])

    def _keep_finished(self, rows: np.ndarray) -> None:
        """Keeps the finished n-step transitions of steps, each in the slot of the time when the step was taken."""
        steps = self._step_codec.from_bytes(rows)
        environments = steps["observation/env"]
        self._steps[steps["observation/time"] % self._slots, environments] = steps
        self._num_finished += np.bincount(environments, minlength=len(self._num_finished))

    def _write_sequences(self, ended: np.ndarray) -> int:
        """Writes all complete sequences, and the rest of the episodes that `ended` (bool[E]); returns as `write`."""
        num_written_before = self._num_written.sum()
        sequences: list[np.ndarray] = []
        while True:
            starts = self._next_starts()
            is_complete = self._num_finished - starts >= self._length
            has_rest = ended & (self._num_written < self._num_finished)
            due = np.flatnonzero(is_complete | has_rest)
            if not len(due):
                break
            sequences += [self._sequence(env, starts[env]) for env in due]
            self._num_written[due] = np.minimum(starts[due] + self._length, self._num_finished[due])
        if sequences:
            self._insert(np.concatenate(sequences))
        return int(self._num_written.sum() - num_written_before)

    def _next_starts(self) -> np.ndarray:
        """The step of each episode with which its next sequence starts, int64[E]."""
        return np.where(self._num_written, self._num_written - self._length + self._period, 0)

    def _sequence(self, env: int, start: int) -> np.ndarray:
        """Makes the sequence that starts with step `start` of an environment's episode, uint8[1, row_bytes]."""
        num_burn_in = min(start, self._burn_in)
        num_steps = min(self._length, self._num_finished[env] - start)
        padding = self._burn_in - num_burn_in  # before the first observation
        start_time = self._start_time[env] + start
        first_time = start_time - num_burn_in  # of the first observation; the newest is of `self._time`
        num_observations = min(self._slots - padding, self._time - first_time + 1)
        observed = (first_time + np.arange(num_observations)) % self._slots
        steps = self._steps[(start_time + np.arange(num_steps)) % self._slots, env]

        row = self._codec.empty(1)
        for key, ring in self._observations.items():
            row[f"observation/{key}"][0, padding : padding + num_observations] = ring[observed, env]
        row["first"], row["state"] = padding, self._states[observed[0], env]
        row["steps"][0, :num_steps] = steps["next_observation/time"] - steps["observation/time"]
        for name, field in _STEP_FIELDS.items():
            if field in (steps.dtype.names or ()):
                row[name][0, :num_steps] = steps[field]
        return self._codec.to_bytes(row)
