"""Agents: configuration and task → TF-Agents agent."""

from collections.abc import Sequence

import msgspec

from tfdqn.agents.dqn import DqnAgent
from tfdqn.agents.ensemble import EnsembleAgent
from tfdqn.agents.recurrent import RecurrentAgent
from tfdqn.config import Config, Ensemble
from tfdqn.task_spec import TaskSpec


def make_agent(config: Config, task_spec: TaskSpec, devices: Sequence[str] = ()) -> DqnAgent:
    """The agent that the configuration describes, of one member or of several. Raises ConfigError as they do.

    `devices` are those that a network is split over, which an ensemble's, or one with a memory, can't be; none: it is
    whole.
    """
    if config.network.state_size:
        return RecurrentAgent(config, task_spec)
    return (EnsembleAgent if config.ensemble.size > 1 else DqnAgent)(config, task_spec, devices)


def make_member(config: Config, task_spec: TaskSpec, member: int) -> DqnAgent:
    """One member of the configuration's ensemble by itself: a plain agent that starts as that member does."""
    return DqnAgent(msgspec.structs.replace(config, ensemble=Ensemble()), task_spec, member=member)
