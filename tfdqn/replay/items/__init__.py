"""Kinds of items: what of the actors' steps is one item of Reverb's tables, how it is written and how it decodes.

Steps of a batch of environments flow in by a writer; examples with one leading axis flow out of `decode`, in the
graph. It imports `replay`'s interfaces, writers and codecs, and the table's name. Blocks hold `replay.rows`: what one
example is as a row of bytes (a transition, a sequence) is said there, for the graph's table as well.

To add one:
1. A file here with a class that is an `ItemKind` (`kinds.py`): its columns (`signature`), `writer`, `decode`, `flush`,
   and the state of what is in no item yet. `examples_per_item` is what a batch has of it, `transitions_per_item` what
   it counts for in the table.
2. Its name in `kinds.py` and in `config/schema.py`, `replay.item`; what it needs of other keys in `config/checks.py`.
3. Outside the package `kinds.register_item_kind(name, make)` does the same, in a module that the configuration names:
   `replay.item = "my_package.my_items:name"`. So every process of a job that writes or samples imports it.
"""
