"""Heads: what a network's last numbers mean, one file per kind, each in TensorFlow and, where it pays, in NumPy.

In: a torso's features. Out: what a loss reads (Q-values, logits, quantiles), and of that the Q-values, which act, are
evaluated and served. Imports what `networks` imports, layers, streams and noise.

The next head is a file here with a class (`head.py` says what it must do), a function that builds it by
`streams.stream`, so that it can be dueling and noisy, and its function in NumPy; and a line in `table.py`, under the
settings of the loss that reads it. A package outside puts its own into `HEADS`. `BranchesKind` says how the same head
is made for several action dimensions (`networks/branches.py`); without it these are refused.
"""
