"""What a loss gives of each example: of networks that are tables, or of an agent's."""

import numpy as np
import tensorflow as tf

from tests.support.batches import vector_spec
from tfdqn.agents.dqn import DqnAgent
from tfdqn.agents.loss import Batch, LossNetwork, LossOutput, Networks
from tfdqn.agents.losses import td
from tfdqn.agents.losses.table import LOSSES
from tfdqn.config import Agent, Config, Linear
from tfdqn.networks.noise import Noise


def one_hot(first: int, count: int, states: int) -> dict[str, tf.Tensor]:
    return {"observation": tf.one_hot(tf.range(first, first + count), states)}


def of_tables(
    settings: Agent, online: np.ndarray, target: np.ndarray, batch: dict[str, np.ndarray], legal_t: np.ndarray | None
) -> LossOutput:
    """The loss where networks give rows of tables [S, A, …]: B states that are acted in, then those that follow."""
    size, states = len(batch["r_t"]), len(online)
    agent = DqnAgent(Config(network=Linear(), agent=settings), vector_spec(states, online.shape[1]))
    for network, table in ((agent.network, online), (agent.target_network, target)):
        network.load_named_weights({"theta/kernel": table.reshape(states, -1)})
    transitions = Batch(
        one_hot(0, size, states),
        None,
        tf.constant(batch["action_tm1"]),
        tf.constant(batch["r_t"]),
        tf.constant(batch["discount_t"]),
        one_hot(size, size, states),
        None if legal_t is None else tf.constant(legal_t),
    )
    return of_agent(agent, settings, transitions)


def of_agent(agent: DqnAgent, settings: Agent, batch: Batch, noise: Noise | None = None) -> LossOutput:
    """The loss of an agent's two networks."""
    networks = Networks(
        LossNetwork(agent.network, None if noise is None else noise.split("online")),
        LossNetwork(agent.target_network, None if noise is None else noise.split("target")),
        td.greedy_value,
    )
    return LOSSES.of(settings)(settings, networks, batch)
