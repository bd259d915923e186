"""`Rows`: one example, a transition or a sequence, as a row of bytes. Backends store rows without reading them."""

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
    """How examples are written to rows and read from them."""

    row_bytes: int
    transitions_per_row: int  # that a row counts for

    def writer(self, num_envs: int, insert: Insert) -> Writer:
        """A writer for `num_envs` environments, which passes rows on to `insert`."""

    def decode(self, rows: tf.Tensor) -> Examples:
        """uint8[N, row_bytes] → N examples; in the graph."""


class TransitionRows:
    """A row is one finished transition."""

    transitions_per_row = 1

    def __init__(self, config: Config, task_spec: TaskSpec):
        self._config = config
        self._codec = TransitionCodec(task_spec)
        self.row_bytes, self.decode = self._codec.row_bytes, self._codec.decode

    def writer(self, num_envs: int, insert: Insert) -> NStepWriter:
        """A writer for `num_envs` environments."""
        return make_n_step_writer(self._config, self._codec, num_envs, insert)


class SequenceRows:
    """A row is a sequence; it counts for the steps from its beginning to the next one's.

    So the end of an episode may leave one that has more steps of its own, up to m, or fewer.
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
    """The rows that `replay.item` names."""
    if config.replay.item == "sequence":
        return SequenceRows(config, task_spec)
    return TransitionRows(config, task_spec)
