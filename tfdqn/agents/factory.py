"""`make_agent`: makes the agent that a configuration describes; `make_member`: one member of its ensemble."""

from collections.abc import Sequence

import msgspec

from tfdqn.agents.dqn import DqnAgent
from tfdqn.agents.ensemble import EnsembleAgent
from tfdqn.agents.recurrent import RecurrentAgent
from tfdqn.config import Config, Ensemble
from tfdqn.task_spec import TaskSpec


def make_agent(config: Config, task_spec: TaskSpec, devices: Sequence[str] = ()) -> DqnAgent:
    """Makes the agent that the configuration describes. Raises ConfigError as the agents do.

    `devices` are those that the networks are split over, which an ensemble, or one with a memory, can't be; empty: they
    are not split.
    """
    if config.network.state_size:
        return RecurrentAgent(config, task_spec)
    if config.ensemble.size > 1:
        return EnsembleAgent(config, task_spec)
    return DqnAgent(config, task_spec, devices)


def make_member(config: Config, task_spec: TaskSpec, member: int) -> DqnAgent:
    """Makes one member of the configuration's ensemble as an agent of its own, with the same initial weights."""
    return DqnAgent(msgspec.structs.replace(config, ensemble=Ensemble()), task_spec, member=member)
