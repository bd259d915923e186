"""Agents: configuration and task → TF-Agents agent. They give loss and networks; `learning/` owns the update."""

from collections.abc import Sequence

import msgspec

from tfdqn.agents.dqn import DqnAgent, LossExtra
from tfdqn.agents.ensemble import EnsembleAgent
from tfdqn.config import Config, Ensemble
from tfdqn.networks.factory import q_network
from tfdqn.randomness import derived_seed
from tfdqn.task_spec import TaskSpec

__all__ = ["DqnAgent", "EnsembleAgent", "LossExtra", "make_agent", "make_member"]


def make_agent(config: Config, task_spec: TaskSpec, devices: Sequence[str] = ()) -> DqnAgent:
    """The agent that the configuration describes, of one member or of several. Raises ConfigError as they do.

    `devices` are those that a network is split over, which an ensemble's can't be; none: it is whole.
    """
    return (EnsembleAgent if config.ensemble.size > 1 else DqnAgent)(config, task_spec, devices)


def make_member(config: Config, task_spec: TaskSpec, member: int) -> DqnAgent:
    """One member of the configuration's ensemble by itself: a plain agent that starts as that member does."""
    alone = DqnAgent(msgspec.structs.replace(config, ensemble=Ensemble()), task_spec)
    seed = derived_seed(config.seed, "initial weights", member)
    start = q_network(config, task_spec, seed=seed)
    start.create_variables()
    for network in (alone.network, alone.target_network):
        network.load_named_weights({name: w.numpy() for name, w in start.named_weights().items()})
    return alone
