"""Agents: a loss and two networks as one TF-Agents agent. They give the loss; `learning/` owns the update.

In: configuration and task; finished transitions, or sequences of them. Out: the loss of a batch, and each example's
part in it. Imports the storeys up to `networks`.

The next loss is a file in `losses/`, whose page says the steps. Networks with a memory are unrolled in `recurrent.py`,
whatever the loss. The next way for an ensemble's members to share the data is a function in `ensemble_masks.py`.
"""
