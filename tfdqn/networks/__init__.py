"""Q-networks: a torso (observation → features) and a head (features → Q), in TensorFlow and, for acting, in NumPy.

In: the configuration and a task's specification. Out: a `QNetwork`, a TF-Agents network whose arrays have the names
that checkpoints keep, or a NumPy function of such arrays. Imports the storeys up to `tasks`.

To add a torso, write a file in `torsos/`; to add a head, one in `heads/`: their docstrings list the steps. A package of
your own adds its torsos and heads to their tables. To add a kind of layer, write a method in every factory in
`layers/`. A memory comes between any torso and any head's stream: to add one, write a class in `layers/memory.py`, its
step in `layers/in_numpy.py`, and a line in the table of each.
"""
