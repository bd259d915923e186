"""`RowCodec`: encodes named NumPy arrays as rows of bytes, and decodes a uint8 tensor of rows in the graph.

A row of `TransitionCodec` is one finished transition, one of `SequenceCodec` a sequence of an episode's steps.
"""

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
import tensorflow as tf
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from tfdqn.agents.loss import Sequences
from tfdqn.config import Config
from tfdqn.replay.horizon import Horizon
from tfdqn.task_spec import ArraySpec, TaskSpec
from tfdqn.types import Experience

Field = tuple[str, np.dtype, tuple[int, ...]]  # name, dtype and shape
# The fields of an observation that is stored elsewhere: its time and environment.
_PLACE = {"time": ArraySpec(shape=(), dtype="int64"), "env": ArraySpec(shape=(), dtype="int32")}


class RowCodec:
    """The layout of named fields in a row of bytes, widest types first so that every number is aligned."""

    def __init__(self, fields: Iterable[Field]):
        in_order = sorted(fields, key=lambda field: (-field[1].itemsize, field[1].str))
        self.dtype = np.dtype(in_order, align=True)
        self.row_bytes = self.dtype.itemsize

    def empty(self, *shape: int) -> np.ndarray:
        """Returns structured rows of zeros, of the given shape."""
        return np.zeros(shape, self.dtype)

    def to_bytes(self, rows: np.ndarray) -> np.ndarray:
        """Views structured rows [N] as uint8[N, row_bytes], without copying."""
        return rows.view(np.uint8).reshape(len(rows), self.row_bytes)

    def from_bytes(self, rows: np.ndarray) -> np.ndarray:
        """Views uint8[N, row_bytes] as structured rows [N]; copies only if the memory isn't contiguous."""
        return np.ascontiguousarray(rows).view(self.dtype).reshape(len(rows))

    def fields(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes uint8[N, row_bytes] into a tensor [N, …] for each field, by name; in the graph."""
        assert self.dtype.fields is not None
        return {
            name: _field(rows[:, offset : offset + dtype.itemsize], dtype)
            for name, (dtype, offset, *_) in self.dtype.fields.items()
        }


class TransitionCodec(RowCodec):
    """The layout of one finished transition as a row of bytes.

    The fields are `observation/<key>`, `action`, `legal_actions` (where the task has masks), `reward`,
    `discount`, `next_observation/<key>` and `next_legal_actions`.
    """

    def __init__(self, task_spec: TaskSpec):
        super().__init__(_transition_fields(task_spec))
        self._observation_keys = tuple(task_spec.observation)
        self._action_masks = task_spec.action_masks

    def decode(self, rows: tf.Tensor) -> trajectory.Transition:
        """Decodes uint8[N, row_bytes] into a batch of N transitions, as TF-Agents expects them; in the graph."""
        return self.transition(self.fields(rows))

    def transition(self, fields: dict[str, tf.Tensor]) -> trajectory.Transition:
        """Makes a Transition of decoded fields.

        The next time step has the n-step reward R and its discount. Every step type is MID. With action masks an
        observation is the pair (dict, legal actions bool[N, *mask_shape]), which TF-Agents'
        `observation_and_action_constraint_splitter` expects.
        """
        reward = fields["reward"]
        step_type = tf.fill(tf.shape(reward), ts.StepType.MID)
        return trajectory.Transition(
            time_step=ts.TimeStep(
                step_type, tf.zeros_like(reward), tf.ones_like(reward), self._observation(fields, "")
            ),
            action_step=policy_step.PolicyStep(fields["action"], (), ()),
            next_time_step=ts.TimeStep(step_type, reward, fields["discount"], self._observation(fields, "next_")),
        )

    def _observation(
        self, fields: dict[str, tf.Tensor], prefix: str
    ) -> dict[str, tf.Tensor] | tuple[dict[str, tf.Tensor], tf.Tensor]:
        observation = {key: fields[f"{prefix}observation/{key}"] for key in self._observation_keys}
        return (observation, fields[f"{prefix}legal_actions"]) if self._action_masks else observation


def place_codec(task_spec: TaskSpec) -> TransitionCodec:
    """The layout of transitions of `with_places`, whose observations are stored elsewhere."""
    return TransitionCodec(msgspec.structs.replace(task_spec, observation=_PLACE))


def with_places(experience: Experience, time: int) -> Experience:
    """Replaces the observations before and after a step by their places: `time` or time + 1, and the environment."""
    env = np.arange(len(experience.step.reward))
    here, there = ({"time": np.full(len(env), each), "env": env} for each in (time, time + 1))
    return experience._replace(observation=here, step=experience.step._replace(observation=there))


class SequenceCodec(RowCodec):
    """The layout of one sequence as a row of bytes.

    The fields are those of `Sequences`, with `observation/<key>` for each array of an observation.

    `config.replay` and `config.agent` give the number of observations and steps, `config.network` the state's size.
    """

    def __init__(self, config: Config, task_spec: TaskSpec):
        super().__init__(_sequence_fields(config, task_spec))
        self._observation_keys = tuple(task_spec.observation)

    def decode(self, rows: tf.Tensor) -> Sequences:
        """Decodes uint8[N, row_bytes] into N sequences; in the graph."""
        fields = self.fields(rows)
        observation = {key: fields.pop(f"observation/{key}") for key in self._observation_keys}
        fields = {"legal_tm1": None, "legal_t": None} | fields
        return Sequences(observation=observation, **fields)


def observed_fields(task_spec: TaskSpec, prefix: str = "") -> Iterator[Field]:
    """The fields of what is observed of a state: the arrays of the observation, and the legal actions."""
    for key, spec in task_spec.observation.items():
        yield f"{prefix}observation/{key}", np.dtype(spec.dtype), spec.shape
    if task_spec.action_masks:
        yield f"{prefix}legal_actions", np.dtype(bool), task_spec.mask_shape


def _transition_fields(task_spec: TaskSpec) -> Iterator[Field]:
    yield from observed_fields(task_spec)
    yield from observed_fields(task_spec, "next_")
    yield "action", np.dtype(np.int32), task_spec.action_shape
    yield "reward", np.dtype(np.float32), ()
    yield "discount", np.dtype(np.float32), ()


def _sequence_fields(config: Config, task_spec: TaskSpec) -> Iterator[Field]:
    replay = config.replay
    steps = replay.sequence_length
    observations = replay.burn_in + steps + Horizon.of(config.agent).longest
    for key, spec in task_spec.observation.items():
        yield f"observation/{key}", np.dtype(spec.dtype), (observations, *spec.shape)
    yield "action", np.dtype(np.int32), (steps, *task_spec.action_shape)
    for name, dtype in (("reward", np.float32), ("discount", np.float32), ("steps", np.int32)):
        yield name, np.dtype(dtype), (steps,)
    yield "first", np.dtype(np.int32), ()
    yield "state", np.dtype(np.float32), (config.network.state_size,)
    if task_spec.action_masks:
        yield "legal_tm1", np.dtype(bool), (steps, *task_spec.mask_shape)
        yield "legal_t", np.dtype(bool), (steps, *task_spec.mask_shape)


def _field(columns: tf.Tensor, dtype: np.dtype) -> tf.Tensor:
    """Decodes the columns of one field, uint8[N, bytes], into [N, …] of its type and shape, which `dtype` has both.

    Reshapes before the bitcast, since TensorFlow reshapes int32 on the host even if it is on a GPU.
    """
    length = columns.shape[0] if columns.shape[0] is not None else tf.shape(columns)[0]
    item = (dtype.base.itemsize,) if dtype.base.itemsize > 1 else ()
    shaped = tf.reshape(columns, (length, *dtype.shape, *item))
    return tf.cast(shaped, tf.bool) if dtype.base == np.bool_ else tf.bitcast(shaped, tf.as_dtype(dtype.base))
