"""Losses: one file per paper, each a function of settings, networks and a batch, as `agents/loss.py` says.

In: what it learns from. Out: each example's loss and TD error. Imports `networks`, `config` and `agents/loss.py`.
The next loss is a file here whose docstring has the paper's equation; a struct in `config/agent.py` with its own
numbers; a line in `table.py`; a head in `networks/heads/` where it needs one of its own. A package outside defines
its struct, with the tag "its_module:name", and puts its loss into `LOSSES`.
"""
