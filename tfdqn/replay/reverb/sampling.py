"""Reverb tables → samples, by the servers' addresses alone: as a function, and as a dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import reverb
import tensorflow as tf

from tfdqn.replay.interfaces import Sample
from tfdqn.replay.items.kinds import ItemKind, items_in
from tfdqn.replay.reverb.server import TABLE

# One worker hands out an item in about 10 µs. Two workers, more in flight, a private thread pool: none
# differed from this by more than the noise; only few in flight (8) was clearly slower.
_WORKERS = 1
_MAX_IN_FLIGHT = 256


def make_sampler(
    addresses: Sequence[str], kind: ItemKind, num_examples: int, device: str | None = None
) -> Callable[[], Sample]:
    """A function to call inside a `tf.function`; each call gives `num_examples`, from all servers evenly.

    With a device, the next call's items are copied there in the background, and decoded there.

    Raises ConfigError where `num_examples` is no multiple of the examples in an item.
    """
    items = _item_dataset(addresses, kind.signature, items_in(kind, num_examples))
    if device is not None:
        items = items.apply(tf.data.experimental.copy_to_device(f"/{device}"))
    with tf.device(device):
        iterator = iter(_fetched_ahead(items))

    def sample() -> Sample:
        with tf.device(device):
            return Sample(kind.decode(next(iterator).data, len(addresses)), None)

    return sample


def sample_dataset(addresses: Sequence[str], kind: ItemKind, num_examples: int) -> tf.data.Dataset:
    """The same as a dataset whose elements are samples of `num_examples`, decoded in the background.

    It may be made in a graph that runs in another process, which then connects to the servers; that process
    must have imported `reverb`. Raises ConfigError as `make_sampler`.
    """
    items = _item_dataset(addresses, kind.signature, items_in(kind, num_examples))
    return _fetched_ahead(items.map(lambda item: Sample(kind.decode(item.data, len(addresses)), None)))


def _item_dataset(addresses: Sequence[str], signature: dict[str, tf.TensorSpec], num_items: int) -> tf.data.Dataset:
    """Batches of `num_items` items drawn from the servers in turn: `ReplaySample`s of [num_items, …], for ever.

    Of S servers each gives num_items / S of every batch; where that is no whole number, the ones that give one
    more change from batch to batch. An element blocks until every server's rate limiter lets it sample.
    """
    items = (
        _items(addresses[0], signature, num_items)
        if len(addresses) == 1
        else tf.data.Dataset.from_tensor_slices(list(addresses)).interleave(
            lambda address: _items(address, signature, -(-num_items // len(addresses))),
            cycle_length=len(addresses),
            block_length=1,
        )
    )
    return items.batch(num_items, drop_remainder=True)


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
