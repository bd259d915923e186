"""Agents: configuration and task → TF-Agents agent. They give loss and networks; `learning/` owns the update."""

from tfdqn.agents.dqn import DqnAgent, LossExtra

__all__ = ["DqnAgent", "LossExtra"]
