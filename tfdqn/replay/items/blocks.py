"""`BlockItems`: items of M transitions, or of one sequence; `PerMemberItems`: the same for each ensemble member."""

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
from tfdqn.replay.devices import gather
from tfdqn.replay.interfaces import Examples, Writer
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.reverb.server import TABLE
from tfdqn.replay.rows import make_rows
from tfdqn.task_spec import TaskSpec

_COLUMN = "rows"
_BLOCKS_BETWEEN_CHECKS = 16
_MAX_BLOCK_BYTES = 2_000_000_000  # protobuf's limit of 2 GiB, less room for what is sent with a block
_MAX_BLOCKS_PENDING = 16  # from 50 on Reverb logs warnings


class BlockItems:
    """Items of one column, uint8[M, row_bytes]: M rows of a transition each, or one row of a sequence.

    Each column and each item costs Reverb time, while more bytes cost little: hence one column, and M rows per item.
    Blocks go to the servers in turn, whichever actor filled them, so the servers hold equally many, to within one
    block, even if some actors are faster than others.
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
        self._lock = threading.Lock()  # for the packer and the writers, which actors' threads and checkpoints share
        self._writers: list[structured_writer.StructuredWriter | _PrioritisedWriter] = []  # one per server
        self._inserted = 0
        self._appended: Counter[int] = Counter()  # by server, since this process started

    def writer(self, clients: Sequence[reverb.Client], num_envs: int) -> Writer:
        """A writer for `num_envs` environments. All writers fill the same blocks; each may have its own thread."""
        if not self._writers:
            self._writers = [self._block_writer(client) for client in clients]
        return self._rows.writer(num_envs, self._pack)

    def decode(self, items: dict[str, tf.Tensor], num_servers: int) -> Examples:
        """Decodes uint8[N, M, row_bytes] into N · M examples, in the order of `spread`."""
        blocks = items[_COLUMN]
        rows = tf.reshape(blocks, (-1, blocks.shape[-1]))
        if rows.shape[0] is None:
            raise ValueError("the number of blocks must be known when the graph is traced")
        if self.examples_per_item > 1:
            rows = gather(rows, spread(blocks.shape[0], self.examples_per_item, num_servers))
        return self._rows.decode(rows)

    def flush(self) -> None:
        """Waits until every full block is in its table."""
        with self._lock:
            for writer in self._writers:
                writer.flush()

    def state(self) -> dict[str, np.ndarray]:
        """The block that is being filled and, if there are several servers, the count that says which one gets it."""
        turn = {"inserted": np.array(self._inserted)} if self._num_servers > 1 else {}
        return self._packer.state() | turn

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._packer.load_state(arrays)
        if self._num_servers > 1:
            self._inserted = int(arrays["inserted"])

    def _block_writer(self, client: reverb.Client) -> "structured_writer.StructuredWriter | _PrioritisedWriter":
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

    def _insert(self, block: np.ndarray, priority: float | None = None) -> None:
        """Gives a block to the server whose turn it is."""
        server = self._inserted % len(self._writers)
        self._inserted += 1
        self._append(server, block, priority)

    def _append(self, server: int, block: np.ndarray, priority: float | None = None) -> None:
        """Gives a block to a server, with a priority if the actor has computed one."""
        writer = self._writers[server]
        if priority is None:
            writer.append({_COLUMN: block})
        else:
            writer.append({_COLUMN: block}, priority)
        self._appended[server] += 1
        if self._appended[server] % _BLOCKS_BETWEEN_CHECKS == 0:
            writer.flush(_MAX_BLOCKS_PENDING)


class _PrioritisedWriter:
    """Like a structured writer, but items have a given priority, or the largest so far, rather than 1."""

    def __init__(self, client: reverb.Client, scale: PriorityScale):
        self._writer, self._scale = client.trajectory_writer(num_keep_alive_refs=1), scale

    def append(self, step: dict[str, np.ndarray], priority: float | None = None) -> None:
        self._writer.append(step)
        columns = {name: self._writer.history[name][-1] for name in step}
        self._writer.create_item(TABLE, self._scale.largest if priority is None else priority, columns)

    def flush(self, block_until_num_items: int = 0) -> None:
        self._writer.flush(block_until_num_items)


class PerMemberItems(BlockItems):
    """Like `BlockItems`, with one server per ensemble member: a transition goes to all members that learn from it.

    These are the members for which the batched ensemble's loss would give it a positive weight; there may be none.
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
        """Decodes uint8[N, row_bytes]; returns, as bool[K, N], whether each member learns from each transition."""
        transition = self._codec.decode(rows)
        states = [transition.time_step.observation, transition.next_time_step.observation]
        state_tm1, state_t = (state[0] if self._has_masks else state for state in states)
        return self._member_weights(transition, state_tm1, state_t) > 0


class BlockPacker:
    """Collects rows, and passes each M of them to `insert_block` as uint8[M, row_bytes], which must copy them."""

    def __init__(self, block_size: int, row_bytes: int, insert_block: Callable[[np.ndarray], None]):
        self._block = np.zeros((block_size, row_bytes), np.uint8)
        self._filled = 0
        self._insert_block = insert_block

    def __call__(self, rows: np.ndarray) -> None:
        """Takes rows uint8[N, row_bytes] for any N, and copies them."""
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
                self._filled = 0  # before inserting, which may raise: the block must not be inserted again
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
    """Raises ConfigError for blocks that are too large for Reverb, which would abort the process that sends one."""
    if block_size * row_bytes > _MAX_BLOCK_BYTES:
        raise ConfigError(
            f"replay.block_size = {block_size}: a block of transitions of {row_bytes:,} bytes is larger than the "
            f"{_MAX_BLOCK_BYTES:,} bytes that Reverb takes; at most {_MAX_BLOCK_BYTES // row_bytes} are possible"
        )


def spread(num_blocks: int, block_size: int, num_servers: int) -> np.ndarray:
    """Returns an order, int[N · M], for the rows of N blocks that were sampled from the servers in turn.

    The rows of a block are consecutive in time, and blocks are sampled independently. So one fixed shuffle spreads a
    block's rows over all batches when several are fetched at once. Each server's rows are shuffled separately, then
    merged at equal distances, so that each batch has equally many rows of every server, to within one.
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
    """The number of members that learn from a transition, on average."""
    match ensemble.data:
        case "all":
            return float(ensemble.size)
        case "bootstrap":
            return ensemble.size * ensemble.mask_probability
    return 1.0
