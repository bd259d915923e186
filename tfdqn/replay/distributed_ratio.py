"""`DistributedReplayRatio`: the replay ratio between processes, told from what replay servers have counted.

The servers count inserted and sampled items, and keep these counts with their checkpoints: so the ratio survives the
learner, the actors and the servers themselves. What a learner has fetched ahead counts as sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tfdqn.config import Config
from tfdqn.replay.items.kinds import ItemKind, table_sizes

_CALLS_AHEAD = 3  # a call is due after one; acting goes on while another is made, and while servers are asked


class TableCounts(NamedTuple):
    """What a server has counted since its table was first made, in items, and what is in the table."""

    inserted: int = 0
    sampled: int = 0
    stored: int = 0


class DistributedReplayRatio:
    """One update is due for each `learner.env_steps_per_update` transitions beyond the first `min_size`."""

    def __init__(self, config: Config, kind: ItemKind):
        self._learner = config.learner
        sizes = table_sizes(config, kind)
        self._servers, self._item = sizes.servers, kind.transitions_per_item
        self._examples = kind.examples_per_item
        self._copies = kind.copies
        self._is_even = sizes.servers == 1 or kind.fills_servers_evenly
        self.min_size = sizes.servers * sizes.min_items * self._item
        self.capacity = sizes.servers * sizes.max_items * self._item
        # An ensemble's members take a whole batch each, every one from its own server.
        readers = sizes.servers if config.ensemble.in_processes else 1
        self._sampled_per_update = config.learner.batch_size * readers

    def limits(self) -> tuple[float, float] | None:
        """(samples per insert, samples that inserting may be ahead of sampling) of each server's table, in items.

        None where servers fill unequally: one could then hold back actors for ever. There they ask `is_ahead`.
        """
        if not self._is_even:
            return None
        settings = self._learner
        samples_per_insert = settings.batch_size / settings.env_steps_per_update * self._item / self._examples
        call = settings.updates_per_call * settings.batch_size / (self._servers * self._examples)
        least = self.min_size / (self._servers * self._item) * samples_per_insert
        # An insertion counts whole: without room for two of them a call might never be due.
        return samples_per_insert, least + _CALLS_AHEAD * call + 2 * max(samples_per_insert, 1.0)

    def updates_due(self, counted: Sequence[TableCounts]) -> int:
        """Updates that are due and whose samples have not been taken; below zero before `min_size`."""
        if self._is_even:
            # All are alike, to an item, unless one has lost what it had counted: then the others say what is due.
            return max(self._due(len(counted) * each.inserted, len(counted) * each.sampled) for each in counted)
        return self._due(sum(each.inserted for each in counted), sum(each.sampled for each in counted))

    def updates_due_unsampled(self, counted: Sequence[TableCounts]) -> int:
        """Updates that would be due had nothing been sampled: below zero until `min_size` was reached once."""
        return self.updates_due([each._replace(sampled=0) for each in counted])

    def updates_sampled(self, items: int) -> float:
        """For how many updates so many items are, sampled from all servers together."""
        return items * self._examples / self._sampled_per_update

    def is_ahead(self, counted: Sequence[TableCounts]) -> bool:
        """Whether acting should wait for learning."""
        return self.updates_due(counted) >= _CALLS_AHEAD * self._learner.updates_per_call

    def transitions(self, items: int) -> int:
        """How many transitions so many items on all servers together are, each counted once."""
        return int(items * self._item / self._copies)

    def _due(self, inserted: int, sampled: int) -> int:
        owed = (inserted * self._item / self._copies - self.min_size) / self._learner.env_steps_per_update
        return int(owed - sampled * self._examples / self._sampled_per_update)
