"""Agents: configuration and task → TF-Agents agent. They give loss and networks; `learning/` owns the update."""

from collections.abc import Sequence

from tfdqn.agents.dqn import DqnAgent, LossExtra
from tfdqn.agents.ensemble import EnsembleAgent
from tfdqn.config import Config
from tfdqn.task_spec import TaskSpec

__all__ = ["DqnAgent", "EnsembleAgent", "LossExtra", "make_agent"]


def make_agent(config: Config, task_spec: TaskSpec, devices: Sequence[str] = ()) -> DqnAgent:
    """The agent that the configuration describes, of one unit or of several. Raises ConfigError as they do.

    `devices` are those that a network is split over, which an ensemble's can't be; none: it is whole.
    """
    return (EnsembleAgent if config.ensemble.size > 1 else DqnAgent)(config, task_spec, devices)
