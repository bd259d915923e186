"""`BlockItems`: an item is exactly M finished transitions from any environments, in one column of bytes."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
import reverb
import tensorflow as tf
from reverb import structured_writer
from tf_agents.trajectories import trajectory

from tfdqn.config import Config
from tfdqn.replay.blocks import BlockPacker
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.tables import TABLE
from tfdqn.replay.writer import NStepWriter
from tfdqn.task_spec import TaskSpec

_COLUMN = "rows"
_BLOCKS_BETWEEN_CHECKS = 16
_MAX_BLOCKS_PENDING = 16  # Reverb complains aloud from 50


class BlockItems:
    """Columns cost Reverb time, and so do items; bytes hardly do: hence one column and M rows an item."""

    def __init__(self, config: Config, task_spec: TaskSpec):
        self.transitions_per_item = config.replay.block_size
        self._agent = config.agent
        self._codec = TransitionCodec(task_spec)
        shape = (self.transitions_per_item, self._codec.row_bytes)
        self.signature = {_COLUMN: tf.TensorSpec(shape, tf.uint8)}
        self._packer = BlockPacker(*shape, self._insert)
        self._lock = threading.Lock()  # checkpoints flush from another thread than the actor's
        self._writer: structured_writer.StructuredWriter | None = None
        self._inserted = 0

    def writer(self, client: reverb.Client, num_envs: int) -> NStepWriter:
        """A writer for `num_envs` environments; all writers fill the same blocks."""
        self._writer = client.structured_writer([_one_item_a_step()])
        return NStepWriter(self._codec, num_envs, self._agent.n_step, self._agent.discount, self._packer)

    def decode(self, items: dict[str, tf.Tensor]) -> trajectory.Transition:
        """uint8[N, M, row_bytes] → N · M transitions, each block spread over all of them.

        A block's transitions are neighbours, and blocks arrive independently of each other: one fixed
        permutation is enough to keep neighbours out of the same batch when several are fetched at once.
        """
        blocks = items[_COLUMN]
        rows = tf.reshape(blocks, (-1, blocks.shape[-1]))
        if rows.shape[0] is None:
            raise ValueError("the number of blocks must be known when the graph is traced")
        if self.transitions_per_item > 1:
            rows = tf.gather(rows, np.random.default_rng(0).permutation(rows.shape[0]))
        return self._codec.decode(rows)

    def flush(self) -> None:
        """Returns when every full block is in the table."""
        if self._writer is not None:
            with self._lock:
                self._writer.flush()

    def state(self) -> dict[str, np.ndarray]:
        """The block that is being filled."""
        return self._packer.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Puts back what `state` gave."""
        self._packer.load_state(arrays)

    def _insert(self, block: np.ndarray) -> None:
        assert self._writer is not None
        with self._lock:
            self._writer.append({_COLUMN: block})
            self._inserted += 1
            if self._inserted % _BLOCKS_BETWEEN_CHECKS == 0:
                self._writer.flush(_MAX_BLOCKS_PENDING)


def _one_item_a_step() -> structured_writer.Config:
    step = structured_writer.create_reference_step({_COLUMN: None})
    pattern = structured_writer.pattern_from_transform(step, lambda step: {_COLUMN: step[_COLUMN][-1]})
    return structured_writer.create_config(pattern, TABLE)
