"""Samples from Reverb tables, given only the servers' addresses: `make_sampler` and `sample_dataset`."""

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


def make_sampler(
    addresses: Sequence[str], kind: ItemKind, num_examples: int, priorities: Priorities, device: str | None = None
) -> Sampler:
    """Returns a function that draws `num_examples`, evenly from all servers.

    Args:
      num_examples: a multiple of the number of examples in an item.
      priorities: whether sampling is by priority; a `Sample` then has a `Draw`.
      device: where the next call's items are copied in the background, and then decoded; None: the caller's device.

    Raises ConfigError if `num_examples` isn't such a multiple.
    """
    items = _item_dataset(addresses, kind, num_examples, priorities)
    if device is not None:
        items = items.apply(tf.data.experimental.copy_to_device(f"/{device}"))
    with on(device):
        iterator = iter(_fetched_ahead(items))

    def sample() -> Sample:
        with on(device):
            return _decoded(next(iterator), kind, len(addresses))

    return sample


def sample_dataset(
    addresses: Sequence[str], kind: ItemKind, num_examples: int, priorities: Priorities
) -> tf.data.Dataset:
    """Makes a dataset of samples of `num_examples`, decoded in the background; arguments as of `make_sampler`.

    It may be made in a graph that runs in another process, which then connects to the servers, and must have imported
    `reverb`. Raises ConfigError as `make_sampler` does.
    """
    items = _item_dataset(addresses, kind, num_examples, priorities)
    return _fetched_ahead(items.map(lambda batch: _decoded(batch, kind, len(addresses))))


def _item_dataset(
    addresses: Sequence[str], kind: ItemKind, num_examples: int, priorities: Priorities
) -> tf.data.Dataset:
    """Makes an endless dataset of batches of items, drawn from the servers in turn.

    An element is a `ReplaySample` of [items, …] or, if sampling is by priority, an `_ItemsWithDraw`. Each of S
    servers gives 1 / S of a batch; if that isn't a whole number of items, the servers that give one more change from
    batch to batch. An element blocks until every server's rate limiter allows sampling.
    """
    servers, num_items = len(addresses), items_in(kind, num_examples)
    items = (
        _items(addresses[0], kind.signature, num_items)
        if servers == 1
        else tf.data.Dataset.from_tensor_slices(list(addresses)).interleave(
            lambda address: _items(address, kind.signature, -(-num_items // servers)),
            cycle_length=servers,
            block_length=1,
        )
    )
    batches = items.batch(num_items, drop_remainder=True)
    if not priorities.are_used:
        return batches

    def with_draw(batch_index: tf.Tensor, items: reverb.ReplaySample) -> _ItemsWithDraw:
        # Keys are uint64, for which there are few kernels; and they are unique only within a server.
        server = (batch_index * num_items + tf.range(num_items, dtype=tf.int64)) % servers
        keys = tf.stack([server, tf.bitcast(items.info.key, tf.int64)], axis=1)
        return _ItemsWithDraw(items.data, Draw(tf.cast(items.info.probability / servers, tf.float32), keys))

    return batches.enumerate().map(with_draw)


def _decoded(batch: "reverb.ReplaySample | _ItemsWithDraw", kind: ItemKind, num_servers: int) -> Sample:
    """Decodes an element of `_item_dataset`."""
    draw = batch.draw if isinstance(batch, _ItemsWithDraw) else None
    return Sample(kind.decode(batch.data, num_servers), None, draw)


def _fetched_ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(1).with_options(options)


def _items(address: str | tf.Tensor, signature: dict[str, tf.TensorSpec], items_at_a_time: int) -> tf.data.Dataset:
    return reverb.TrajectoryDataset(
        server_address=address,
        table=TABLE,
        dtypes={name: spec.dtype for name, spec in signature.items()},
        shapes={name: spec.shape for name, spec in signature.items()},
        max_in_flight_samples_per_worker=min(2 * items_at_a_time, _MAX_IN_FLIGHT),
        num_workers_per_iterator=_WORKERS,
    )
