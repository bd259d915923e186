"""`TransitionCodec`: one finished transition ↔ a row of bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from tfdqn.replay.row_codec import Field, RowCodec
from tfdqn.task_spec import ArraySpec, TaskSpec

# What stands for an observation where it is stored apart from the transition: when it was made, and where.
PLACE = {"time": ArraySpec(shape=(), dtype="int64"), "env": ArraySpec(shape=(), dtype="int32")}


def places(time: int, num_envs: int) -> dict[str, np.ndarray]:
    """Of every environment's observation at this time."""
    return {"time": np.full(num_envs, time), "env": np.arange(num_envs)}


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


def _transition_fields(task_spec: TaskSpec) -> Iterator[Field]:
    for prefix in ("", "next_"):
        for key, spec in task_spec.observation.items():
            yield f"{prefix}observation/{key}", np.dtype(spec.dtype), spec.shape
        if task_spec.action_masks:
            yield f"{prefix}legal_actions", np.dtype(bool), task_spec.mask_shape
    yield "action", np.dtype(np.int32), task_spec.action_shape
    yield "reward", np.dtype(np.float32), ()
    yield "discount", np.dtype(np.float32), ()
