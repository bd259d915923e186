"""`BlockItems`: an item is exactly M rows in one column, of a transition each, or is one row, of a sequence;
`PerMemberItems`: M transitions, by ensemble member.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import reverb
import tensorflow as tf
from reverb import structured_writer

from tfdqn.agents.ensemble_masks import member_weights
from tfdqn.config import Config, Ensemble
from tfdqn.errors import ConfigError
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.gather import gather
from tfdqn.replay.interfaces import Examples, Writer
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.reverb.server import TABLE
from tfdqn.replay.rows import make_rows
from tfdqn.task_spec import TaskSpec

_COLUMN = "rows"
_BLOCKS_BETWEEN_CHECKS = 16
_MAX_BLOCK_BYTES = 2_000_000_000  # protobuf's 2 GiB, and room for what is sent with a block
_MAX_BLOCKS_PENDING = 16  # Reverb complains aloud from 50


class BlockItems:
    """Columns cost Reverb time, and so do items; bytes hardly do: hence one column and M rows an item.

    Of several servers each gets the next block in its turn, whichever actor filled it: so they hold equally many, to
    one block, however many actors there are and however unlike their speeds.
    """

    fills_servers_evenly = True
    copies = 1.0

    def __init__(self, config: Config, task_spec: TaskSpec):
        self._rows = make_rows(config, task_spec)
        self.examples_per_item = config.replay.block_size if config.replay.item == "block" else 1
        self.transitions_per_item = self.examples_per_item * self._rows.transitions_per_row
        self._has_priorities = config.priorities.are_used
        self.priority_scale = PriorityScale(config.priorities)
        self._num_servers = config.replay.shards
        shape = (self.examples_per_item, self._rows.row_bytes)
        _refuse_too_large(*shape)
        self.signature = {_COLUMN: tf.TensorSpec(shape, tf.uint8)}
        self._packer = BlockPacker(*shape, self._insert)
        self._lock = threading.Lock()  # of the packer and the writers: actors share them, checkpoints flush
        self._writers: list[structured_writer.StructuredWriter | _PrioritisedWriter] = []  # one a server
        self._inserted = 0
        self._appended: Counter[int] = Counter()  # by server, in this process

    def writer(self, clients: Sequence[reverb.Client], num_envs: int) -> Writer:
        """A writer for `num_envs` environments; all writers fill the same blocks, from whatever thread."""
        if not self._writers:
            self._writers = [self._block_writer(client) for client in clients]
        return self._rows.writer(num_envs, self._pack)

    def decode(self, items: dict[str, tf.Tensor], num_servers: int) -> Examples:
        """uint8[N, M, row_bytes] → N · M examples, each block spread over all of them."""
        blocks = items[_COLUMN]
        rows = tf.reshape(blocks, (-1, blocks.shape[-1]))
        if rows.shape[0] is None:
            raise ValueError("the number of blocks must be known when the graph is traced")
        if self.examples_per_item > 1:
            rows = gather(rows, spread(blocks.shape[0], self.examples_per_item, num_servers))
        return self._rows.decode(rows)

    def flush(self) -> None:
        """Returns when every full block is in its table."""
        with self._lock:
            for writer in self._writers:
                writer.flush()

    def state(self) -> dict[str, np.ndarray]:
        """The block that is being filled and, of several servers, whose turn it is to get it."""
        turn = {"inserted": np.array(self._inserted)} if self._num_servers > 1 else {}
        return self._packer.state() | turn

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""
        self._packer.load_state(arrays)
        if self._num_servers > 1:
            self._inserted = int(arrays["inserted"])

    def _block_writer(self, client: reverb.Client) -> structured_writer.StructuredWriter | _PrioritisedWriter:
        if self._has_priorities:
            return _PrioritisedWriter(client, self.priority_scale)
        return client.structured_writer([_one_item_a_step()])

    def _pack(self, rows: np.ndarray, errors: np.ndarray | None = None) -> None:
        with self._lock:
            if errors is None:
                self._packer(rows)
                return
            for row, priority in zip(rows, self.priority_scale(errors), strict=True):
                self._insert(row[np.newaxis], priority)

    def _insert(self, block: np.ndarray, *priority: float) -> None:
        server = self._inserted % len(self._writers)
        self._inserted += 1
        self._append(server, block, *priority)

    def _append(self, server: int, block: np.ndarray, *priority: float) -> None:
        writer = self._writers[server]
        writer.append({_COLUMN: block}, *priority)
        self._appended[server] += 1
        if self._appended[server] % _BLOCKS_BETWEEN_CHECKS == 0:
            writer.flush(_MAX_BLOCKS_PENDING)


class _PrioritisedWriter:
    """As a structured writer, but that an item has a priority of its own, or the largest; a structured one's have 1."""

    def __init__(self, client: reverb.Client, scale: PriorityScale):
        self._writer, self._scale = client.trajectory_writer(num_keep_alive_refs=1), scale

    def append(self, step: dict[str, np.ndarray], priority: float | None = None) -> None:
        self._writer.append(step)
        columns = {name: self._writer.history[name][-1] for name in step}
        self._writer.create_item(TABLE, self._scale.largest if priority is None else priority, columns)

    def flush(self, block_until_num_items: int = 0) -> None:
        self._writer.flush(block_until_num_items)


class PerMemberItems(BlockItems):
    """As `BlockItems`, but that a transition goes to the servers of all members that it belongs to, or to none.

    Which these are is the same function of the transition that weighs it in the batched ensemble's loss.
    """

    fills_servers_evenly = False

    def __init__(self, config: Config, task_spec: TaskSpec):
        super().__init__(config, task_spec)
        self._codec = TransitionCodec(task_spec)
        self._member_weights = member_weights(config, task_spec)
        self.copies = _members_of_a_transition(config.ensemble)
        self._has_masks = task_spec.action_masks
        self._packers = [
            BlockPacker(self.examples_per_item, self._rows.row_bytes, partial(self._append, member))
            for member in range(config.ensemble.size)
        ]
        signature = [tf.TensorSpec([None, self._rows.row_bytes], tf.uint8)]
        self._belongs = tf.function(self._belonging, input_signature=signature, autograph=False)

    def state(self) -> dict[str, np.ndarray]:
        """The blocks that are being filled."""
        return {
            f"{name}/{member}": array
            for member, packer in enumerate(self._packers)
            for name, array in packer.state().items()
        }

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""
        for member, packer in enumerate(self._packers):
            packer.load_state({"partial_block": arrays[f"partial_block/{member}"]})

    def _pack(self, rows: np.ndarray, errors: np.ndarray | None = None) -> None:
        belongs = self._belongs(rows).numpy()
        with self._lock:
            if errors is None:
                for packer, mine in zip(self._packers, belongs, strict=True):
                    packer(rows[mine])
                return
            priorities = self.priority_scale(errors)
            for member, index in np.argwhere(belongs):
                self._append(member, rows[index][np.newaxis], priorities[index])

    def _belonging(self, rows: tf.Tensor) -> tf.Tensor:
        """uint8[N, row_bytes] → bool[K, N]: whether a member learns from it."""
        transition = self._codec.decode(rows)
        states = [transition.time_step.observation, transition.next_time_step.observation]
        state_tm1, state_t = (state[0] if self._has_masks else state for state in states)
        return self._member_weights(transition, state_tm1, state_t) > 0


class BlockPacker:
    """Passes uint8[M, row_bytes] on to `insert_block`, which must copy it, whenever M rows have come."""

    def __init__(self, block_size: int, row_bytes: int, insert_block: Callable[[np.ndarray], None]):
        self._block = np.zeros((block_size, row_bytes), np.uint8)
        self._filled = 0
        self._insert_block = insert_block

    def __call__(self, rows: np.ndarray) -> None:
        """Takes uint8[N, row_bytes], any N; the rows are copied."""
        size = len(self._block)
        while len(rows):
            if not self._filled and len(rows) >= size:
                self._insert_block(rows[:size])
                rows = rows[size:]
                continue
            taken = rows[: size - self._filled]
            self._block[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rows = rows[len(taken) :]
            if self._filled == size:
                self._filled = 0  # before: one that is inserted and then not waited for must not be again
                self._insert_block(self._block)

    def state(self) -> dict[str, np.ndarray]:
        """The block that is being filled."""
        return {"partial_block": self._block[: self._filled].copy()}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned. Raises ValueError if it doesn't fit a block."""
        partial = arrays["partial_block"]
        self._block[: len(partial)] = partial
        self._filled = len(partial)


def _refuse_too_large(block_size: int, row_bytes: int) -> None:
    """Raises ConfigError for blocks that Reverb can't take: a greater message ends the process that sends it."""
    if block_size * row_bytes > _MAX_BLOCK_BYTES:
        raise ConfigError(
            f"replay.block_size = {block_size}: a block of transitions of {row_bytes:,} bytes is larger than the "
            f"{_MAX_BLOCK_BYTES:,} bytes that Reverb takes; at most {_MAX_BLOCK_BYTES // row_bytes} are possible"
        )


def spread(num_blocks: int, block_size: int, num_servers: int) -> np.ndarray:
    """An order, int[N · M], for the rows of N blocks that came from the servers in turn.

    A block's rows are neighbours in time, and blocks arrive independently of each other: one fixed shuffle keeps
    neighbours out of the same batch when several batches are fetched at once. The servers' rows are shuffled
    apart and merged at equal distances, so that each batch has equally many of every server's, to one.
    """
    server_of_row = np.arange(num_blocks).repeat(block_size) % num_servers
    places = np.empty(len(server_of_row))
    rng = np.random.default_rng(0)
    for server in range(num_servers):
        mine = np.flatnonzero(server_of_row == server)
        places[mine] = (rng.permutation(len(mine)) + 0.5) / max(len(mine), 1)
    return places.argsort(kind="stable")


def _one_item_a_step() -> structured_writer.Config:
    step = structured_writer.create_reference_step({_COLUMN: None})
    pattern = structured_writer.pattern_from_transform(step, lambda step: {_COLUMN: step[_COLUMN][-1]})
    return structured_writer.create_config(pattern, TABLE)


def _members_of_a_transition(ensemble: Ensemble) -> float:
    """On average."""
    match ensemble.data:
        case "all":
            return float(ensemble.size)
        case "bootstrap":
            return ensemble.size * ensemble.mask_probability
    return 1.0
