"""`InGraphReplay`: replay in a TensorFlow variable, whose samples are reproducible by the seed."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.errors import CheckpointError, ConfigError
from tfdqn.randomness import derived_seed
from tfdqn.replay.in_graph_priorities import InGraphPriorities
from tfdqn.replay.interfaces import ItemPriorities, Sample, Sampler, Writer
from tfdqn.replay.rows import make_rows
from tfdqn.storage.arrays import save_arrays
from tfdqn.task_spec import TaskSpec

CONTENT_FILE = "replay.npz"
_MOST_WAITING_ROWS, _MOST_WAITING_BYTES = 256, 2**20


class InGraphReplay:
    """A ring buffer of rows, uint8[rows, row_bytes], sampled uniformly or by priority.

        writers → rows that wait (NumPy) → table (TensorFlow) → sample

    New rows wait in an array until `flush`, since a call of TensorFlow for each step would cost more than the step.
    Counts in `capacity`, `min_size` and `size()` are of transitions, all others are of rows.

    A draw is a pure function of the run's seed, the number of draws before it and the stored rows: without concurrency,
    two runs with the same seed see the same samples.
    """

    def __init__(self, config: Config, task_spec: TaskSpec):
        if config.replay.item not in ("block", "sequence"):
            raise ConfigError(f'replay.item = "{config.replay.item}" needs replay.backend = "reverb"')
        self._layout = make_rows(config, task_spec)
        self._max_rows = config.replay.capacity // self._layout.transitions_per_row
        self.capacity = self._max_rows * self._layout.transitions_per_row
        self.min_size = config.replay.min_size
        self.addresses: list[str] = []  # only this process has it
        self._seed = derived_seed(config.seed, "replay")
        self._table = self._empty_table()
        self._stored = tf.Variable(0, dtype=tf.int64, trainable=False)  # rows in the table now
        self._draws = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._inserted = 0  # rows that ever reached the table; the next one's position is this modulo the table's rows
        most_waiting = min(_MOST_WAITING_ROWS, self._max_rows, max(1, _MOST_WAITING_BYTES // self._layout.row_bytes))
        self._waiting = np.zeros((most_waiting, self._layout.row_bytes), np.uint8)
        self._waiting_errors = np.zeros(most_waiting, np.float32)
        self._num_waiting = 0
        self._lock = threading.Lock()  # several actors may write
        uses_priorities = config.priorities.are_used
        self._priorities = InGraphPriorities(config, self._max_rows, self._lock) if uses_priorities else None

    def _empty_table(self) -> tf.Variable:
        shape = (self._max_rows, self._layout.row_bytes)
        size = self._max_rows * self._layout.row_bytes
        no_room = ConfigError(f"replay.capacity = {self.capacity}: there is no memory for {size / 1e9:,.0f} GB")
        if size > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            raise no_room  # TensorFlow would try for ten seconds, or the system would kill the process later
        try:
            return tf.Variable(tf.zeros(shape, tf.uint8), trainable=False)
        except tf.errors.ResourceExhaustedError as error:
            raise no_room from error

    def addresses_at(self, host: str) -> list[str]:
        """Returns an empty list: no other process can sample this replay."""
        return []

    def writer(self, num_envs: int) -> Writer:
        return self._layout.writer(num_envs, self._insert)

    def sampler(self, num_examples: int) -> Sampler:
        """Returns a function that draws a sample; the table must not be empty."""

        def sample() -> Sample:
            seed = tf.stack([tf.constant(self._seed, tf.int64), self._draws.assign_add(1)])
            draw = None
            if self._priorities is None:
                indices = tf.random.stateless_uniform(
                    (num_examples,), seed, minval=0, maxval=self._stored.read_value(), dtype=tf.int64, alg="philox"
                )
            else:
                indices, draw = self._priorities.draw(
                    lambda: tf.random.stateless_uniform((num_examples,), seed, dtype=tf.float64, alg="philox")
                )
            return Sample(self._layout.decode(self._table.sparse_read(indices)), None, draw)

        return sample

    def update_priorities(self, priorities: ItemPriorities) -> None:
        """Sets priorities immediately. Skips rows that are no longer stored."""
        assert self._priorities is not None
        self._priorities.update(priorities)

    def size(self) -> int:
        """The number of transitions stored now."""
        return self._filled() * self._layout.transitions_per_row

    def _filled(self) -> int:
        """The number of rows stored now, with those that wait."""
        return min(self._inserted + self._num_waiting, self._max_rows)

    def save(self, directory: Path) -> None:
        """Writes `replay.npz` with the filled part of the ring, its position and priorities. Raises CheckpointError."""
        self.flush()
        filled = self._filled()
        content = {"rows": self._table.numpy()[:filled], "inserted": np.array(self._inserted)}
        if self._priorities is not None:
            content["priorities"] = self._priorities.leaves(filled)
        try:
            save_arrays(directory / CONTENT_FILE, content)
        except OSError as error:
            raise CheckpointError(f"{directory / CONTENT_FILE} can't be written: {error.strerror}") from error

    def restore(self, directory: Path) -> None:
        """Restores what `save` wrote. Raises CheckpointError, or ConfigError for a table of another kind."""
        path = directory / CONTENT_FILE
        try:
            with np.load(path, allow_pickle=False) as content:
                rows, inserted = content["rows"], int(content["inserted"])
                priorities = None if self._priorities is None else content["priorities"]
        except Exception as error:  # a damaged file raises errors of zipfile or zlib, KeyError or OSError
            raise CheckpointError(f"{path} is missing or damaged: {error}") from error
        if rows.shape != (min(inserted, self._max_rows), self._layout.row_bytes):
            raise ConfigError(
                f"{path} holds {len(rows)} rows of {rows.shape[1]} bytes; replay.capacity"
                f" {self.capacity} and this task's {self._layout.row_bytes} bytes don't match it"
            )
        filled = np.zeros((self._max_rows, self._layout.row_bytes), np.uint8)
        filled[: len(rows)] = rows
        self._table.assign(filled)
        self._inserted = inserted
        self._stored.assign(len(rows))
        if self._priorities is not None and priorities is not None:
            self._priorities.restore(priorities, inserted)

    def state(self) -> dict[str, np.ndarray]:
        """The number of draws so far, and the largest priority, with those of the rows that wait."""
        self.flush()
        largest = {} if self._priorities is None else self._priorities.state()
        return {"draws": self._draws.numpy()[None], **largest}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._draws.assign(arrays["draws"][0])
        if self._priorities is not None:
            self._priorities.load_state(arrays)

    def close(self) -> None:
        """Does nothing: everything is in TensorFlow."""

    def flush(self) -> None:
        with self._lock:
            self._store_waiting()

    def _insert(self, rows: np.ndarray, errors: np.ndarray | None = None) -> None:
        """Takes rows uint8[N, row_bytes] and, if they are known, their TD errors float32[N]."""
        for start in range(0, len(rows), len(self._waiting)):  # as a rule, once
            part = slice(start, start + len(self._waiting))
            with self._lock:
                self._let_wait(rows[part], np.nan if errors is None else errors[part])

    def _let_wait(self, rows: np.ndarray, errors: np.ndarray | float) -> None:
        """Lets rows wait, no more of them than there is room for. The caller must hold the lock."""
        if self._num_waiting + len(rows) > len(self._waiting):
            self._store_waiting()
        end = self._num_waiting + len(rows)
        self._waiting[self._num_waiting : end] = rows
        if self._priorities is not None:
            self._waiting_errors[self._num_waiting : end] = errors
        self._num_waiting = end

    def _store_waiting(self) -> None:
        """Writes the rows that wait over the oldest ones. The caller must hold the lock.

        Uses a raw op, which takes any N without retracing and has none of the overhead of a `tf.function` call.
        """
        count, self._num_waiting = self._num_waiting, 0
        if not count:
            return
        positions = (self._inserted + np.arange(count)) % self._max_rows
        rows = self._waiting[:count].copy()  # the array is filled again, perhaps before TensorFlow is done with it
        tf.raw_ops.ResourceScatterUpdate(resource=self._table.handle, indices=positions, updates=rows)
        was_full = self._inserted >= self._max_rows
        self._inserted += count
        if not was_full:
            self._stored.assign(np.int64(self._filled()))  # TensorFlow would cache each Python number forever
        if self._priorities is not None:
            self._priorities.insert(positions, self._inserted, self._waiting_errors[:count])
