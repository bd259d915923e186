"""`Rows`: how an example, a transition or a sequence, is written as a row of bytes, and decoded from it."""

from __future__ import annotations

from typing import Protocol

import tensorflow as tf

from tfdqn.config import Config
from tfdqn.replay.codec import SequenceCodec, TransitionCodec
from tfdqn.replay.interfaces import Examples, Writer
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.replay.sequence_writer import SequenceWriter
from tfdqn.replay.td_error_writer import Insert, make_n_step_writer
from tfdqn.task_spec import TaskSpec


class Rows(Protocol):
    """How examples are written to rows and decoded from them. Backends store rows without interpreting them."""

    row_bytes: int
    transitions_per_row: int  # how many transitions a row counts for

    def writer(self, num_envs: int, insert: Insert) -> Writer:
        """A writer for `num_envs` environments, which passes rows on to `insert`."""

    def decode(self, rows: tf.Tensor) -> Examples:
        """Decodes uint8[N, row_bytes] into N examples; in the graph."""


class TransitionRows:
    """Rows that are one finished transition each."""

    transitions_per_row = 1

    def __init__(self, config: Config, task_spec: TaskSpec):
        self._config = config
        self._codec = TransitionCodec(task_spec)
        self.row_bytes, self.decode = self._codec.row_bytes, self._codec.decode

    def writer(self, num_envs: int, insert: Insert) -> NStepWriter:
        """A writer for `num_envs` environments."""
        return make_n_step_writer(self._config, self._codec, num_envs, insert)


class SequenceRows:
    """Rows that are one sequence each, which counts for the steps from its start to the start of the next one.

    The last sequence of an episode may have more steps of its own than that, up to m, or fewer.
    """

    def __init__(self, config: Config, task_spec: TaskSpec):
        self._config, self._task_spec = config, task_spec
        self._codec = SequenceCodec(config, task_spec)
        self.row_bytes, self.decode = self._codec.row_bytes, self._codec.decode
        self.transitions_per_row = config.replay.sequence_period

    def writer(self, num_envs: int, insert: Insert) -> SequenceWriter:
        """A writer for `num_envs` environments."""
        return SequenceWriter(self._codec, self._config, self._task_spec, num_envs, insert)


def make_rows(config: Config, task_spec: TaskSpec) -> Rows:
    """Makes the rows for `replay.item`: sequences, or else transitions."""
    if config.replay.item == "sequence":
        return SequenceRows(config, task_spec)
    return TransitionRows(config, task_spec)
