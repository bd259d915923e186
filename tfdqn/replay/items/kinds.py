"""`ItemKind`: what an item of replay is, by `replay.item`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import reverb
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.config.user_modules import import_user_module
from tfdqn.errors import ConfigError
from tfdqn.replay.interfaces import Examples, Writer
from tfdqn.replay.items.blocks import BlockItems, PerMemberItems
from tfdqn.replay.items.frames import FrameItems
from tfdqn.replay.priorities import PriorityScale
from tfdqn.task_spec import TaskSpec


class ItemKind(Protocol):
    """What an item is: its columns, how it is written and what it decodes to."""

    signature: dict[str, tf.TensorSpec]
    examples_per_item: int  # transitions, or sequences, that a sampled item adds to a batch
    transitions_per_item: int  # that it counts for in the table
    fills_servers_evenly: bool  # to one item, however many write
    copies: float  # servers that a transition goes to, on average
    priority_scale: PriorityScale  # of new items, where sampling is by priorities

    def writer(self, clients: Sequence[reverb.Client], num_envs: int) -> Writer:
        """Writes items to the servers of `clients`, in equal parts. Several writers may write at a time."""

    def decode(self, items: dict[str, tf.Tensor], num_servers: int) -> Examples:
        """N items, stacked, from servers in turn → N · examples_per_item examples; in the graph.

        Any B examples in a row have equally many of every server's, to one.
        """

    def flush(self) -> None:
        """Returns when everything finished is in its table."""

    def state(self) -> dict[str, np.ndarray]:
        """Finished transitions that are in no item yet."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""


Maker = Callable[[Config, TaskSpec], ItemKind]  # raises ConfigError where the task can't be stored so
_KINDS: dict[str, Maker] = {"block": BlockItems, "frames": FrameItems, "sequence": BlockItems}


def register_item_kind(name: str, make: Maker) -> None:
    """`replay.item` may be "module:name" from now on, by the module that registers it."""
    _KINDS[name] = make


def make_item_kind(config: Config, task_spec: TaskSpec) -> ItemKind:
    """The kind that `replay.item` names; a module before its colon is imported first. Raises ConfigError."""
    if config.ensemble.in_processes:
        return PerMemberItems(config, task_spec)
    item = config.replay.item
    module, _, name = item.rpartition(":")
    if module:
        import_user_module(module, f'replay.item = "{item}"', ConfigError)
    if name not in _KINDS:
        raise ConfigError(f'replay.item = "{item}": {module} registers no "{name}"; there are {", ".join(_KINDS)}')
    kind = _KINDS[name](config, task_spec)
    if config.priorities.are_used and kind.examples_per_item > 1:
        raise ConfigError(
            f"priorities.exponent = {config.priorities.exponent} needs items of one example each, and an item of "
            f'replay.item = "{item}" holds {kind.examples_per_item}'
        )
    return kind


def num_servers(config: Config) -> int:
    """How many servers share the transitions: `replay.shards`, or one for each member that learns by itself."""
    return config.ensemble.size if config.ensemble.in_processes else config.replay.shards


class TableSizes(NamedTuple):
    """How the transitions are divided among the servers; of each table, in items."""

    servers: int
    max_items: int
    min_items: int


def table_sizes(config: Config, kind: ItemKind) -> TableSizes:
    """`replay.capacity` and `replay.min_size`, divided: the one rounded down on every server, the other up, if it fits.

    Raises ConfigError if a server would have no room for an item.
    """
    servers, size = num_servers(config), kind.transitions_per_item
    max_items = config.replay.capacity // (servers * size)
    if not max_items:
        least = f"one block of {size}" + (f" for each of {servers} shards" if servers > 1 else "")
        raise ConfigError(f"replay.capacity {config.replay.capacity} is less than {least}")
    return TableSizes(servers, max_items, min(-(-config.replay.min_size // (servers * size)), max_items))


def items_in(kind: ItemKind, num_examples: int) -> int:
    """How many items hold so many examples. Raises ConfigError if it is no whole number."""
    num_items, rest = divmod(num_examples, kind.examples_per_item)
    if rest:
        size = kind.examples_per_item
        raise ConfigError(f"replay.block_size {size} doesn't divide a batch of {num_examples}")
    return num_items
