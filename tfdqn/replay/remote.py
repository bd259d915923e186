"""Samples for processes that hold no replay themselves: they know its servers' addresses alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import reverb
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.replay.block_items import BlockItems
from tfdqn.replay.frame_items import FrameItems
from tfdqn.replay.items import Sample
from tfdqn.replay.tables import TABLE
from tfdqn.task_spec import TaskSpec


def sample_dataset(
    addresses: Sequence[str], config: Config, task_spec: TaskSpec, num_transitions: int
) -> tf.data.Dataset:
    """Elements are samples of `num_transitions`; may be made inside a function that runs elsewhere."""
    (address,) = addresses
    kind: BlockItems | FrameItems
    kind = FrameItems(config, task_spec) if config.replay.item == "frames" else BlockItems(config, task_spec)
    num_items = num_transitions // kind.transitions_per_item
    dataset = reverb.TrajectoryDataset(
        server_address=address,
        table=TABLE,
        dtypes={name: spec.dtype for name, spec in kind.signature.items()},
        shapes={name: spec.shape for name, spec in kind.signature.items()},
        max_in_flight_samples_per_worker=min(2 * num_items, 256),
        num_workers_per_iterator=1,
    )
    batches = dataset.batch(num_items, drop_remainder=True)
    return batches.map(lambda items: Sample(kind.decode(items.data), None, None)).prefetch(1)


def remote_sampler(
    addresses: Sequence[str], config: Config, task_spec: TaskSpec, num_transitions: int
) -> Callable[[], Sample]:
    """A function to call inside a `tf.function`; it blocks until the servers let it sample."""
    iterator = iter(sample_dataset(addresses, config, task_spec, num_transitions))
    return lambda: next(iterator)
