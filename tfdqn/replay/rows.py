"""`Rows`: how an example, a transition or a sequence, is written as a row of bytes, and decoded from it."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfdqn.config import Config
from tfdqn.replay.codec import SequenceCodec, TransitionCodec
from tfdqn.replay.interfaces import Examples, Writer
from tfdqn.replay.n_step_writer import Insert, make_n_step_writer
from tfdqn.replay.sequence_writer import SequenceWriter
from tfdqn.task_spec import TaskSpec


class Rows(NamedTuple):
    """How examples are written to rows and decoded from them. Backends store rows without interpreting them."""

    row_bytes: int
    transitions_per_row: int  # how many transitions a row counts for
    writer: Callable[[int, Insert], Writer]  # makes one for so many environments, which passes rows on to `Insert`
    decode: Callable[[tf.Tensor], Examples]  # decodes uint8[N, row_bytes] into N examples; in the graph


def make_rows(config: Config, task_spec: TaskSpec) -> Rows:
    """Makes the rows for `replay.item`: sequences, or else finished transitions.

    A sequence counts for the steps from its start to the start of the next one. The last sequence of an episode may
    have more steps of its own than that, up to m, or fewer.
    """
    if config.replay.item == "sequence":
        of_sequences = SequenceCodec(config, task_spec)
        return Rows(
            of_sequences.row_bytes,
            config.replay.sequence_period,
            lambda num_envs, insert: SequenceWriter(of_sequences, config, task_spec, num_envs, insert),
            of_sequences.decode,
        )
    codec = TransitionCodec(task_spec)
    return Rows(
        codec.row_bytes, 1, lambda num_envs, insert: make_n_step_writer(config, codec, num_envs, insert), codec.decode
    )
