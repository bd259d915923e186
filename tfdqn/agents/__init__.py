"""Agents: a loss and two networks as one TF-Agents agent. They compute the loss; `learning/` makes the update.

In: configuration and task; finished transitions, or sequences of them. Out: the loss of a batch, and figures for each
example. Imports the storeys up to `networks`.

To add a loss, write a file in `losses/`, whose docstring lists the steps. Networks with a memory are unrolled in
`recurrent.py`, for any loss. To add a way to divide the data among an ensemble's members, write a function in
`ensemble_masks.py`.
"""
