"""Torsos: one file per paper, from observation to features, in TensorFlow and, where it pays, in NumPy.

In: the settings of a network, a task's specification and layers. Out: a `Torso`, which ends before its paper's last
hidden layer: `streams.py` makes that, once, or twice for a dueling network. Imports `layers`, `encoding`, `noise` and
`registry`. The next torso is a file here, written once over a `LayerFactory`, so that ensembles and split networks have
it too; a struct in `config/network.py`; a line in `table.py`. A package outside puts its own into `TORSOS`.
"""
