"""`SequenceCodec`: one stretch of an episode ↔ a row of bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfdqn.agents.sequences import Sequences
from tfdqn.config import Config
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.row_codec import Field, RowCodec
from tfdqn.task_spec import TaskSpec


class SequenceCodec(RowCodec):
    """The layout of one sequence, fields as those of `Sequences`; an observation's are `observation/<key>`.

    Args:
      config: `replay` and `agent` say how many observations and steps a sequence has, `network` what it remembers.
      task_spec: the task's observations and actions.
    """

    def __init__(self, config: Config, task_spec: TaskSpec):
        super().__init__(_fields(config, task_spec))
        self._observation_keys = tuple(task_spec.observation)

    def decode(self, rows: tf.Tensor) -> Sequences:
        """uint8[N, row_bytes] → N sequences; in the graph."""
        fields = self.fields(rows)
        observation = {key: fields.pop(f"observation/{key}") for key in self._observation_keys}
        fields = {"legal_tm1": None, "legal_t": None} | fields
        return Sequences(observation=observation, **fields)


def _fields(config: Config, task_spec: TaskSpec) -> Iterator[Field]:
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
