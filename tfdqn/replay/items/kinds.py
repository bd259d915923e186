"""`ItemKind`: the protocol of kinds of items, and the kinds that `replay.item` may name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import reverb
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.config.own_code import is_own, require_function, require_name, source_of
from tfdqn.config.user_modules import import_user_module
from tfdqn.errors import ConfigError, OwnCodeError
from tfdqn.replay.interfaces import Examples, Writer
from tfdqn.replay.items.blocks import BlockItems, PerMemberItems
from tfdqn.replay.items.frames import FrameItems
from tfdqn.replay.priorities import PriorityScale
from tfdqn.task_spec import TaskSpec


class ItemKind(Protocol):
    """What an item contains, how it is written and how it is decoded."""

    signature: dict[str, tf.TensorSpec]  # the columns
    examples_per_item: int  # how many transitions or sequences a sampled item adds to a batch
    transitions_per_item: int  # how many transitions an item counts for in the table
    fills_servers_evenly: bool  # whether servers hold equally many items, to within one, however many writers there are
    copies: float  # the number of servers that a transition goes to, on average
    priority_scale: PriorityScale  # gives new items their priorities, if sampling is by priority

    def writer(self, clients: Sequence[reverb.Client], num_envs: int) -> Writer:
        """A writer for `num_envs` environments to the servers of `clients`. Several writers may write concurrently."""

    def decode(self, items: dict[str, tf.Tensor], num_servers: int) -> Examples:
        """In the graph: decodes N items, sampled from the servers in turn, into N · `examples_per_item` examples.

        Any consecutive examples include equally many of every server, to within one.
        """

    def flush(self) -> None:
        """Waits until every complete item is in its table."""

    def state(self) -> dict[str, np.ndarray]:
        """Finished transitions that are in no item yet."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""


Maker = Callable[[Config, TaskSpec], ItemKind]  # raises ConfigError if the task can't be stored as such items
_KINDS: dict[str, Maker] = {"block": BlockItems, "frames": FrameItems, "sequence": BlockItems}


def register_item_kind(name: str, make: Maker) -> None:
    """Registers a kind of items, which `replay.item = "module:name"` selects; `module` must make this call.

    `make` raises ConfigError for a task that can't be stored so. Raises OwnCodeError for a name that no configuration
    can have, and for anything but such a function.
    """
    require_name(name, "register_item_kind")
    require_function(make, f'register_item_kind("{name}")', "config", "task_spec")
    _KINDS[name] = make


def make_item_kind(config: Config, task_spec: TaskSpec) -> ItemKind:
    """Makes the kind that `replay.item` names, after importing the module before its colon, if any.

    Raises ConfigError if there is no such kind, or it can't store the task or be sampled as configured.
    """
    if config.ensemble.in_processes:
        return PerMemberItems(config, task_spec)
    item = config.replay.item
    module, _, name = item.rpartition(":")
    if module:
        import_user_module(module, f'replay.item = "{item}"', ConfigError)
    if name not in _KINDS:
        raise ConfigError(f'replay.item = "{item}": {module} registers no "{name}"; there are {", ".join(_KINDS)}')
    kind = _KINDS[name](config, task_spec)
    if is_own(_KINDS[name]):
        _check_made(kind, source_of(_KINDS[name]))
    if config.priorities.are_used and kind.examples_per_item > 1:
        raise ConfigError(
            f"priorities.exponent = {config.priorities.exponent} needs items of one example each, and an item of "
            f'replay.item = "{item}" holds {kind.examples_per_item}'
        )
    return kind


def _check_made(kind: Any, source: str) -> None:
    """Raises OwnCodeError unless what the maker `source` gives has what an `ItemKind` has."""
    needed = [name for name in (*ItemKind.__annotations__, *vars(ItemKind)) if not name.startswith("_")]
    if lacking := [name for name in needed if not hasattr(kind, name)]:
        raise OwnCodeError(f"{source} returned {source_of(kind)}, which lacks {', '.join(lacking)} of an ItemKind")


class TableSizes(NamedTuple):
    """The number of servers, and the capacity and minimum size of each one's table, in items.

    There are `replay.shards` servers, or one for each ensemble member if these learn in processes.
    """

    servers: int
    max_items: int
    min_items: int


def table_sizes(config: Config, kind: ItemKind) -> TableSizes:
    """Divides `replay.capacity`, rounded down, and `replay.min_size`, rounded up if it fits, among the servers.

    Raises ConfigError if a server would have no room for a single item.
    """
    servers = config.ensemble.size if config.ensemble.in_processes else config.replay.shards
    size = kind.transitions_per_item
    max_items = config.replay.capacity // (servers * size)
    if not max_items:
        least = f"one block of {size}" + (f" for each of {servers} shards" if servers > 1 else "")
        raise ConfigError(f"replay.capacity {config.replay.capacity} is less than {least}")
    return TableSizes(servers, max_items, min(-(-config.replay.min_size // (servers * size)), max_items))


def items_in(kind: ItemKind, num_examples: int) -> int:
    """The number of items that hold `num_examples` examples. Raises ConfigError if it isn't a whole number."""
    num_items, rest = divmod(num_examples, kind.examples_per_item)
    if rest:
        size = kind.examples_per_item
        raise ConfigError(f"replay.block_size {size} doesn't divide a batch of {num_examples}")
    return num_items
