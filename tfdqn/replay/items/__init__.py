"""Kinds of items: what an item of Reverb's tables contains, how it is written and how it is decoded.

A kind's writer takes the steps of a batch of environments; its `decode` gives examples with one leading axis, in the
graph. Imports `replay`'s interfaces, writers and codecs, and the table's name. `replay.rows` defines the rows in a
block (a transition or a sequence as bytes), for the in-graph table as well.

To add a kind:
1. Add a file here with a class that implements `ItemKind` (`kinds.py`): its columns (`signature`), `writer`, `decode`,
   `flush`, and the state of transitions that are in no item yet. `examples_per_item` is how many examples an item adds
   to a batch, `transitions_per_item` how many transitions it counts for in the table.
2. Add its name to `kinds.py` and to `replay.item` in `config/replay.py`, and what it requires of other keys to
   `config/replay_checks.py`.
3. Outside the package, `kinds.register_item_kind(name, make)` does the same, in a module that the configuration names:
   `replay.item = "my_package.my_items:name"`. Every process of a job that writes or samples then imports it.
"""
