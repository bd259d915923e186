"""`DistributedReplayRatio`: the replay ratio between processes, computed from the replay servers' counts.

The servers count inserted and sampled items, and keep these counts in their checkpoints. So the ratio survives restarts
of the learner, the actors and the servers. Samples that a learner has fetched ahead count as sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tfdqn.config import Config
from tfdqn.replay.items.kinds import ItemKind, table_sizes

_CALLS_AHEAD = 3  # a call is due after one; acting goes on while another is made, and while servers are asked


class TableCounts(NamedTuple):
    """A server's counts since its table was first made, and the table's size, in items."""

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

        None if servers fill unequally: one could then hold actors back for ever. Actors ask `is_ahead` instead.
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
        """Updates that are due and have not been sampled for; negative before `min_size`."""
        if self._is_even:
            # All are alike, to an item, unless one has lost what it had counted: then the others say what is due.
            return max(self._due(len(counted) * each.inserted, len(counted) * each.sampled) for each in counted)
        return self._due(sum(each.inserted for each in counted), sum(each.sampled for each in counted))

    def updates_due_unsampled(self, counted: Sequence[TableCounts]) -> int:
        """Updates that would be due if nothing had been sampled; negative until `min_size` was reached once."""
        return self.updates_due([each._replace(sampled=0) for each in counted])

    def updates_sampled(self, items: int) -> float:
        """The number of updates for which so many items were sampled, from all servers together."""
        return items * self._examples / self._sampled_per_update

    def is_ahead(self, counted: Sequence[TableCounts]) -> bool:
        """Whether acting should wait for learning."""
        return self.updates_due(counted) >= _CALLS_AHEAD * self._learner.updates_per_call

    def transitions(self, items: int) -> int:
        """The number of transitions in so many items on all servers, each counted once."""
        return int(items * self._item / self._copies)

    def _due(self, inserted: int, sampled: int) -> int:
        owed = (inserted * self._item / self._copies - self.min_size) / self._learner.env_steps_per_update
        return int(owed - sampled * self._examples / self._sampled_per_update)
