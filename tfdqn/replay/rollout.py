"""`Rollout`: T steps of all environments, which are learned from and then discarded; used instead of a replay.

`RolloutTurns` alternates between acting in a rollout and learning from it; it is used instead of a replay ratio.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfdqn.agents.losses.pqn import lambda_returns
from tfdqn.config import PQN, Config
from tfdqn.randomness import stream
from tfdqn.records import Counters
from tfdqn.replay.codec import Field, TransitionCodec, observed_fields
from tfdqn.replay.interfaces import ItemPriorities, Sample, Sampler
from tfdqn.replay.replay_ratio import Balance
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Arrays, Experience


class Rollout:
    """T steps of E environments: a `Replay` that holds only these, and its own writer.

    T times, the actor calls `add_values` with the values of the states that it acts in and `write` with the step. Then
    it calls `finish` with the values of the last states, which computes the λ-returns (Gallici et al. 2024, PQN) and
    the batches of all epochs. A sample consists of all these batches. A row of an environment that was only reset is
    not a transition: its weight is 0, and the other weights are scaled so that their mean over all rows is 1.

    `config.agent` must be PQN's. `part` is the one of each batch that is sampled, counted from 0, if processes divide
    them.
    """

    def __init__(self, config: Config, task_spec: TaskSpec, part: int = 0):
        assert isinstance(config.agent, PQN)
        self._settings, self._seed, self.part = config.agent, config.seed, part
        self._updates, self._batch_size = config.updates_per_call, config.learner.batch_size
        shape = (config.agent.rollout_steps, config.task.num_envs)
        self.capacity = self.min_size = math.prod(shape)
        self.addresses: list[str] = []  # only this process has it
        self._codec = TransitionCodec(task_spec)
        self._rows = {name: np.zeros((*shape, *own), dtype) for name, dtype, own in _fields(task_spec)}
        self._values = np.zeros((shape[0] + 1, shape[1]), np.float32)  # max_a Q(s, a), including the last states
        self._length = 0
        self._train_steps = 0  # the updates that the acting network had had
        self.batches: Arrays = {}  # the columns to learn from, by name, and "order": the rows of each batch
        self._in_graph = {
            name: tf.Variable(tf.zeros((self.capacity, *own), dtype), trainable=False)
            for name, dtype, own in _fields(task_spec)
            if name not in _OF_STEPS
        }
        self._in_graph["weight"] = tf.Variable(tf.zeros(self.capacity), trainable=False)
        order = tf.zeros((self._updates, self._batch_size), tf.int32)
        self._in_graph["order"] = tf.Variable(order, trainable=False)

    @property
    def is_whole(self) -> bool:
        """Whether all T steps have been taken."""
        return self._length == len(self._values) - 1

    def add_values(self, values: np.ndarray) -> None:
        """Takes max_a Q(s, a) over the legal actions, float32[E], for the states in which the next step is taken."""
        self._values[self._length] = values

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many transitions it has, resets not counted."""
        step = experience.step
        rows = {
            **{f"observation/{key}": value for key, value in experience.observation.items()},
            "action": experience.action,
            "reward": step.reward,
            "terminated": step.terminated,
            "truncated": step.truncated,
            "is_reset": step.is_reset,
        }
        if experience.legal_actions is not None:
            rows["legal_actions"] = experience.legal_actions
        for name, value in rows.items():
            self._rows[name][self._length] = value
        self._length += 1
        return len(step.is_reset) - int(np.count_nonzero(step.is_reset))

    def finish(self, values: np.ndarray, train_steps: int) -> None:
        """Takes the values of the states after the last step, and computes the λ-returns and batches.

        `train_steps` are the updates that the acting network has had; with the seed they determine the batches' order.
        """
        self.add_values(values)
        self._train_steps = train_steps
        rng = stream(self._seed, "shuffle", train_steps)
        order = [rng.permutation(self.capacity) for _ in range(self._settings.epochs)]
        is_transition = ~self._rows["is_reset"]
        columns = {name: self._rows[name] for name in self._rows if name not in _OF_STEPS}
        columns["reward"] = self._returns().astype(np.float32)
        weight = is_transition / np.maximum(is_transition.mean(), 1 / self.capacity)
        columns["weight"] = weight.astype(np.float32)
        self.load(
            {name: column.reshape(self.capacity, *column.shape[2:]) for name, column in columns.items()}
            | {"order": np.array(order, np.int32).reshape(self._updates, self._batch_size)}
        )

    def load(self, batches: Arrays) -> None:
        """Loads the `batches` to learn from, which may be those of another process's rollout."""
        self.batches = batches
        for name, array in batches.items():
            self._in_graph[name].assign(array)

    def clear(self) -> None:
        """Forgets all steps; the next step begins a new rollout."""
        self._length = 0

    def sampler(self, num_examples: int) -> Sampler:
        """Returns a function that gives all batches in order, or this part of each.

        `num_examples` is the total over all batches, of this part alone if they are divided.
        """
        size, part = num_examples // self._updates, self.part

        def sample() -> Sample:
            rows = tf.reshape(self._in_graph["order"][:, part * size : (part + 1) * size], [-1])
            fields = {name: tf.gather(variable, rows) for name, variable in self._in_graph.items() if name != "order"}
            weights = fields.pop("weight")
            # The λ-return includes the value of what follows, so the discount is 0 and any next state will do.
            after = {f"next_{name}": column for name, column in fields.items() if name not in ("action", "reward")}
            fields["discount"] = tf.zeros_like(weights)
            return Sample(self._codec.transition(fields | after), weights)

        return sample

    def flush(self) -> None:
        """Does nothing: it is sampled only once it is whole."""

    def update_priorities(self, priorities: ItemPriorities) -> None:
        """Does nothing: every transition is learned from equally often."""

    def state(self) -> dict[str, np.ndarray]:
        """The steps so far, which are saved as a writer's state."""
        rows = {name: rows.copy() for name, rows in self._rows.items()}
        counts = {"length": np.array([self._length]), "train_steps": np.array([self._train_steps])}
        return {**rows, "values": self._values.copy(), **counts}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, rows in self._rows.items():
            rows[:] = arrays[name]
        self._values[:] = arrays["values"]
        self._length, self._train_steps = int(arrays["length"][0]), int(arrays["train_steps"][0])
        if self.is_whole:
            self.finish(self._values[-1], self._train_steps)

    def writer(self, num_envs: int) -> "Rollout":
        """Returns this rollout, which is its own writer."""
        return self

    def size(self) -> int:
        """The number of rows so far: environments times steps."""
        return self._length * self._values.shape[1]

    def addresses_at(self, host: str) -> list[str]:
        """Returns an empty list: the chief sends the batches to other processes."""
        return []

    def save(self, directory: Path) -> None:
        """Does nothing: the steps are saved as a writer's state."""

    def restore(self, directory: Path) -> None:
        """Does nothing, since nothing was saved."""

    def close(self) -> None:
        """Does nothing: everything is in this process's memory."""

    def _returns(self) -> np.ndarray:
        """The λ-return of every row, float64[T, E], in units of the task's rewards."""
        rows, settings = self._rows, self._settings
        is_last = rows["terminated"] | rows["truncated"]
        is_last[:-1] |= rows["is_reset"][1:]  # the last step before an episode was abandoned
        values = self._values[1:] / np.float64(settings.reward_scale)
        discount = settings.discount * ~rows["terminated"]
        return lambda_returns(rows["reward"], discount, values, settings.lambda_ * ~is_last)


# Columns that only the λ-returns are computed from; the loss doesn't see them.
_OF_STEPS = ("terminated", "truncated", "is_reset")


def _fields(task_spec: TaskSpec) -> Iterator[Field]:
    """Each column of a step, with its shape for one environment; the names are those of `TransitionCodec`."""
    yield from observed_fields(task_spec)
    yield "action", np.dtype(np.int32), task_spec.action_shape
    yield "reward", np.dtype(np.float32), ()
    for name in _OF_STEPS:
        yield name, np.dtype(np.bool_), ()


class RolloutTurns:
    """Counts acting and learning, and says which comes next. Not thread-safe.

    A rollout that is incomplete when acting ends is kept for the run's next session.
    """

    def __init__(self, rollout: Rollout, updates: int, most_env_steps: int, counters: Counters):
        self._rollout, self._updates, self._most_env_steps = rollout, updates, most_env_steps
        self.transitions, self.env_steps = counters.transitions, counters.env_steps
        self._train_steps = counters.train_steps

    def updates_owed(self) -> int:
        """The updates of a complete rollout; 0 if it isn't complete."""
        return self._updates if self._rollout.is_whole else 0

    def may_learn(self) -> bool:
        """Whether the rollout is complete."""
        return self._rollout.is_whole

    def wait_to_learn(self, timeout_seconds: float) -> bool:
        """Returns `may_learn()` without waiting, since the only actor is in the same thread."""
        return self._rollout.is_whole

    def learned(self, train_steps: int) -> None:
        """Counts updates made; if there were any, discards the rollout."""
        self._train_steps += train_steps
        if train_steps:
            self._rollout.clear()

    def acting_is_done(self) -> bool:
        """Whether all environment steps have been taken."""
        return self.env_steps >= self._most_env_steps

    def begin_to_act(self, num_envs: int, timeout_seconds: float = 0.0) -> bool:
        """Whether a step may be taken now."""
        return not self._rollout.is_whole and not self.acting_is_done()

    def acted(self, num_envs: int, transitions: int, env_steps: int) -> None:
        """Counts the result of a step."""
        self.transitions += transitions
        self.env_steps += env_steps

    def balance(self) -> Balance:
        """The counts that a checkpoint keeps; there is no replay that owes updates."""
        return Balance(self.transitions, 0, self._train_steps)
