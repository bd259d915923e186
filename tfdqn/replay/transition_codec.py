"""Transition ↔ bytes: rows are NumPy structured arrays on the way in and one uint8 tensor on the way out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from tfdqn.task_spec import TaskSpec


class _Field(NamedTuple):
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int  # bytes from the start of a row


class TransitionCodec:
    """The layout of one finished transition as a row of bytes.

    The fields are `observation/<key>`, `action`, `legal_actions` (where the task has masks), `reward`,
    `discount`, `next_observation/<key>` and `next_legal_actions`. Wide types come first and equal ones lie
    side by side, so every number is aligned and one bitcast decodes all fields of a type.
    """

    def __init__(self, task_spec: TaskSpec):
        self._observation_keys = tuple(task_spec.observation)
        self._action_masks = task_spec.action_masks
        fields = sorted(_field_types(task_spec), key=lambda field: (-field[1].itemsize, field[1].str))
        self.dtype = np.dtype(fields, align=True)
        self.row_bytes = self.dtype.itemsize

    def empty(self, *shape: int) -> np.ndarray:
        """Rows of zeros, structured, of the given shape."""
        return np.zeros(shape, self.dtype)

    def to_bytes(self, rows: np.ndarray) -> np.ndarray:
        """Structured [N] → uint8[N, row_bytes], the same memory."""
        return rows.view(np.uint8).reshape(len(rows), self.row_bytes)

    def from_bytes(self, rows: np.ndarray) -> np.ndarray:
        """uint8[N, row_bytes] → structured [N], the same memory where it is contiguous."""
        return np.ascontiguousarray(rows).view(self.dtype).reshape(len(rows))

    def fields(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """uint8[N, row_bytes] → every field by name, [N, …] each; in the graph."""
        fields: dict[str, tf.Tensor] = {}
        for dtype, run in groupby(self._layout(), key=lambda field: field.dtype):
            run_fields = list(run)
            start, last = run_fields[0].offset, run_fields[-1]
            stop = last.offset + _size(last.shape) * dtype.itemsize
            values = _bitcast(rows[:, start:stop], dtype)
            for field in run_fields:
                first = (field.offset - start) // dtype.itemsize
                flat = values[:, first : first + _size(field.shape)]
                fields[field.name] = tf.reshape(flat, (_length(rows), *field.shape))
        return fields

    def decode(self, rows: tf.Tensor) -> trajectory.Transition:
        """uint8[N, row_bytes] → Transition[N] as TF-Agents takes it; in the graph."""
        return self.transition(self.fields(rows))

    def transition(self, fields: dict[str, tf.Tensor]) -> trajectory.Transition:
        """The fields as a Transition: its reward is R, its discount the finished one; every step is MID.

        With action masks an observation is the pair (dict, legal actions bool[N, *mask_shape]), as TF-Agents'
        `observation_and_action_constraint_splitter` idiom has it.
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

    def _layout(self) -> Iterator[_Field]:
        assert self.dtype.fields is not None
        for name, (dtype, offset, *_) in self.dtype.fields.items():
            yield _Field(name, dtype.base, dtype.shape, offset)


def _field_types(task_spec: TaskSpec) -> Iterator[tuple[str, np.dtype, tuple[int, ...]]]:
    for prefix in ("", "next_"):
        for key, spec in task_spec.observation.items():
            yield f"{prefix}observation/{key}", np.dtype(spec.dtype), spec.shape
        if task_spec.action_masks:
            yield f"{prefix}legal_actions", np.dtype(bool), task_spec.mask_shape
    dimensions = len(task_spec.num_actions)
    yield "action", np.dtype(np.int32), () if dimensions == 1 else (dimensions,)
    yield "reward", np.dtype(np.float32), ()
    yield "discount", np.dtype(np.float32), ()


def _bitcast(columns: tf.Tensor, dtype: np.dtype) -> tf.Tensor:
    """uint8[N, bytes] → dtype[N, bytes / itemsize]."""
    if dtype == np.bool_:
        return tf.cast(columns, tf.bool)
    if dtype.itemsize > 1:
        columns = tf.reshape(columns, (_length(columns), -1, dtype.itemsize))
    return tf.bitcast(columns, tf.as_dtype(dtype))


def _length(rows: tf.Tensor) -> int | tf.Tensor:
    return rows.shape[0] if rows.shape[0] is not None else tf.shape(rows)[0]


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
