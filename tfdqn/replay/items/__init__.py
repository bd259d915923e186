"""Kinds of items: what of the actors' steps is one item of a table, how it is written and how it decodes."""
