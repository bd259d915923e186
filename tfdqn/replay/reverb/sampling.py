"""Reverb tables → samples, by the servers' addresses alone: as a function, and as a dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import reverb
import tensorflow as tf

from tfdqn.config import Priorities
from tfdqn.replay.interfaces import Draw, Sample
from tfdqn.replay.items.kinds import ItemKind, items_in
from tfdqn.replay.placement import on
from tfdqn.replay.reverb.server import TABLE

# More workers, more in flight or a private thread pool made `python -m benchmarks.replay` no faster; few in flight made
# it slower.
_WORKERS = 1
_MAX_IN_FLIGHT = 256
_UNIFORM = Priorities()


def make_sampler(
    addresses: Sequence[str],
    kind: ItemKind,
    num_examples: int,
    device: str | None = None,
    priorities: Priorities = _UNIFORM,
) -> Callable[[], Sample]:
    """A function to call inside a `tf.function`; each call gives `num_examples`, from all servers evenly.

    With a device, the next call's items are copied there in the background, and decoded there; else where it is called.

    Raises ConfigError if `num_examples` is no multiple of the examples in an item.
    """
    items = _item_dataset(addresses, kind, num_examples, priorities)
    if device is not None:
        items = items.apply(tf.data.experimental.copy_to_device(f"/{device}"))
    with on(device):
        iterator = iter(_fetched_ahead(items))

    def sample() -> Sample:
        with on(device):
            return _decoded(kind, next(iterator), len(addresses))

    return sample


def sample_dataset(
    addresses: Sequence[str], kind: ItemKind, num_examples: int, priorities: Priorities = _UNIFORM
) -> tf.data.Dataset:
    """The same as a dataset whose elements are samples of `num_examples`, decoded in the background.

    It may be made in a graph that runs in another process, which then connects to the servers; that process
    must have imported `reverb`. Raises ConfigError as `make_sampler`.
    """
    items = _item_dataset(addresses, kind, num_examples, priorities)
    return _fetched_ahead(
        items.map(lambda *batch: _decoded(kind, batch[0] if len(batch) == 1 else batch, len(addresses)))
    )


def _item_dataset(
    addresses: Sequence[str], kind: ItemKind, num_examples: int, priorities: Priorities
) -> tf.data.Dataset:
    """Batches of items drawn from the servers in turn, for ever: `ReplaySample`s of [items, …]; where they are drawn by
    their priorities, pairs (columns, Draw).

    Of S servers each gives 1 / S of every batch; where that is no whole number of items, the ones that give one
    more change from batch to batch. An element blocks until every server's rate limiter lets it sample.
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

    def with_draw(batch: tf.Tensor, items: Any) -> tuple[dict[str, tf.Tensor], Draw]:
        # Keys are of 64 bits without a sign, which few kernels know; and a server knows its own keys alone.
        server = (batch * num_items + tf.range(num_items, dtype=tf.int64)) % servers
        keys = tf.stack([server, tf.bitcast(items.info.key, tf.int64)], axis=1)
        return items.data, Draw(tf.cast(items.info.probability / servers, tf.float32), keys)

    return batches.enumerate().map(with_draw)


def _decoded(kind: ItemKind, batch: Any, num_servers: int) -> Sample:
    """An element of `_item_dataset`, decoded."""
    if isinstance(batch, tuple) and isinstance(batch[1], Draw):
        return Sample(kind.decode(batch[0], num_servers), None, batch[1])
    return Sample(kind.decode(batch.data, num_servers), None)


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
