"""Q-networks: a torso (observation → features) and a head (features → Q), in TensorFlow and, for acting, in NumPy.

In: the configuration and a task's specification. Out: a `QNetwork`, a TF-Agents network whose arrays have the names
that checkpoints keep, or a NumPy function of such arrays. Imports the storeys up to `tasks`.

The next torso is a file in `torsos/`, the next head one in `heads/`, as their docstrings say. A package outside puts
its own into their tables. A layer of another kind is a method of every factory in `layers/`. A memory stands between a
torso and the head's stream, whatever these are: the next one is a class in `layers/memory.py`, its step in
`layers/memory_in_numpy.py`, and a line in each one's table.
"""
