"""`ReverbSource`: samples from Reverb's tables, given only the servers' addresses."""

from collections.abc import Sequence
from typing import NamedTuple

import reverb
import tensorflow as tf

from tfdqn.config import Priorities
from tfdqn.replay.devices import on
from tfdqn.replay.interfaces import Draw, Sample, Sampler
from tfdqn.replay.items.kinds import ItemKind, items_in
from tfdqn.replay.reverb.server import TABLE

# In `python -m benchmarks.replay`, more workers, more samples in flight or a private thread pool were no faster; fewer
# in flight were slower.
_WORKERS = 1
_MAX_IN_FLIGHT = 256


class _ItemsWithDraw(NamedTuple):
    """A batch of items drawn by priority."""

    data: dict[str, tf.Tensor]  # the columns, each [items, …], as in a `ReplaySample`
    draw: Draw


class ReverbSource:
    """Samples evenly from all servers of a replay, given only their addresses.

    Args:
      addresses: "host:port" each.
      priorities: whether sampling is by priority; a `Sample` then has a `Draw`.
    """

    def __init__(self, addresses: Sequence[str], kind: ItemKind, priorities: Priorities):
        self._addresses, self._kind, self._priorities = addresses, kind, priorities

    def sampler(self, num_examples: int, device: str | None = None) -> Sampler:
        """Returns a function that draws `num_examples`, a multiple of the number of examples in an item.

        `device` is where the next call's items are copied in the background, and then decoded; None: the caller's.

        Raises ConfigError if `num_examples` isn't such a multiple.
        """
        items = self._items(num_examples)
        if device is not None:
            items = items.apply(tf.data.experimental.copy_to_device(f"/{device}"))
        with on(device):
            iterator = iter(_fetched_ahead(items))

        def sample() -> Sample:
            with on(device):
                return self._decoded(next(iterator))

        return sample

    def dataset(self, num_examples: int) -> tf.data.Dataset:
        """Makes a dataset of samples of `num_examples`, decoded in the background.

        It may be made in a graph that runs in another process, which then connects to the servers, and must have
        imported `reverb`. Raises ConfigError as `sampler` does.
        """
        return _fetched_ahead(self._items(num_examples).map(self._decoded))

    def _items(self, num_examples: int) -> tf.data.Dataset:
        """Makes an endless dataset of batches of items, drawn from the servers in turn.

        An element is a `ReplaySample` of [items, …] or, if sampling is by priority, an `_ItemsWithDraw`. Each of S
        servers gives 1 / S of a batch; if that isn't a whole number of items, the servers that give one more change
        from batch to batch. An element blocks until every server's rate limiter allows sampling.
        """
        servers, num_items = len(self._addresses), items_in(self._kind, num_examples)
        items = (
            _items_of(self._addresses[0], self._kind.signature, num_items)
            if servers == 1
            else tf.data.Dataset.from_tensor_slices(list(self._addresses)).interleave(
                lambda address: _items_of(address, self._kind.signature, -(-num_items // servers)),
                cycle_length=servers,
                block_length=1,
            )
        )
        batches = items.batch(num_items, drop_remainder=True)
        if not self._priorities.are_used:
            return batches

        def with_draw(batch_index: tf.Tensor, items: reverb.ReplaySample) -> _ItemsWithDraw:
            # Keys are uint64, for which there are few kernels; and they are unique only within a server.
            server = (batch_index * num_items + tf.range(num_items, dtype=tf.int64)) % servers
            keys = tf.stack([server, tf.bitcast(items.info.key, tf.int64)], axis=1)
            return _ItemsWithDraw(items.data, Draw(tf.cast(items.info.probability / servers, tf.float32), keys))

        return batches.enumerate().map(with_draw)

    def _decoded(self, batch: "reverb.ReplaySample | _ItemsWithDraw") -> Sample:
        """Decodes an element of `_items`."""
        draw = batch.draw if isinstance(batch, _ItemsWithDraw) else None
        return Sample(self._kind.decode(batch.data, len(self._addresses)), None, draw)


def _fetched_ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(1).with_options(options)


def _items_of(address: str | tf.Tensor, signature: dict[str, tf.TensorSpec], items_at_a_time: int) -> tf.data.Dataset:
    return reverb.TrajectoryDataset(
        server_address=address,
        table=TABLE,
        dtypes={name: spec.dtype for name, spec in signature.items()},
        shapes={name: spec.shape for name, spec in signature.items()},
        max_in_flight_samples_per_worker=min(2 * items_at_a_time, _MAX_IN_FLIGHT),
        num_workers_per_iterator=_WORKERS,
    )
