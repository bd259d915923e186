"""Torsos: one file per paper, from observation to features, in TensorFlow and perhaps in NumPy.

In: the settings of a network, a task's specification and a layer factory. Out: a `Torso`, without the paper's last
hidden layer: `streams.py` makes that, or two for a dueling network. Imports `layers`, `encoding`, `own_parts` and
`registry`.

To add a torso, write a file here that uses only a `LayerFactory`, so that it also works for ensembles and split
networks, a struct in `config/network.py`, and a line in `table.py`. A package of your own adds its torso to `TORSOS`.
"""
