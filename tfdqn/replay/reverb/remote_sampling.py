"""Samples from replay servers wherever they run: all that is needed is their addresses and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfdqn.config import Config
from tfdqn.replay.interfaces import Sample
from tfdqn.replay.items.kinds import items_in, make_item_kind
from tfdqn.replay.reverb.sampling import fetched_ahead, item_dataset, sampler
from tfdqn.task_spec import TaskSpec


def remote_sampler(
    addresses: Sequence[str],
    config: Config,
    task_spec: TaskSpec,
    num_transitions: int,
    device: str | None = None,
) -> Callable[[], Sample]:
    """As `ReverbReplay.sampler`, for servers at "host:port" each; every call takes from all of them evenly.

    With a device, the next call's items are copied there in the background.

    Raises ConfigError where `num_transitions` is no multiple of the transitions in an item.
    """
    return sampler(addresses, make_item_kind(config, task_spec), num_transitions, device)


def sample_dataset(
    addresses: Sequence[str], config: Config, task_spec: TaskSpec, num_transitions: int
) -> tf.data.Dataset:
    """The same as a dataset whose elements are samples of `num_transitions`, decoded in the background.

    It may be made in a graph that runs in another process, which then connects to the servers; that process
    must have imported `reverb`. Raises ConfigError as `remote_sampler`.
    """
    kind = make_item_kind(config, task_spec)
    items = item_dataset(addresses, kind.signature, items_in(kind, num_transitions))
    return fetched_ahead(items.map(lambda item: Sample(kind.decode(item.data, len(addresses)), None, None)))
