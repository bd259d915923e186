"""Heads: what the last numbers of a network mean. Each is in TensorFlow, and perhaps in NumPy.

In: a torso's features. Out: the outputs that a loss reads (Q-values, logits, quantiles), and the Q-values computed from
these, for acting, evaluation and serving. Imports what `networks` imports, layers, streams and noise.

To add a head, write a file here with a class that implements `Head` (`head.py`), a function that builds it by
`streams.stream`, so that it can be dueling and noisy, and perhaps its function in NumPy; and add a line to `table.py`,
under the settings of the loss that reads it. A package of your own adds its head to `HEADS`. `BranchesKind` makes the
same head for several action dimensions (`networks/branches.py`); a head without one refuses these.
"""
