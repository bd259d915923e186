"""Losses: one file per paper, each a function of settings, networks and a batch (see `agents/loss.py`).

In: a batch. Out: each example's loss and TD error. Imports `networks`, `config` and `agents/loss.py`.

To add a loss, write a file here whose docstring has the paper's equation, a struct in `config/agent.py` with its
settings, a line in `table.py`, and, if it needs another head, that in `networks/heads/`. A package of your own defines
its struct with the tag "its_module:name", and adds its loss to `LOSSES`.
"""
