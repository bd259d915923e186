"""Double DQN: van Hasselt et al. 2016, 'Deep reinforcement learning with double Q-learning'.

y = r + γ Q⁻(s', argmax_a Q(s', a)), their equation 4.
"""

from tfdqn.agents.loss import Batch, LossOutput, Networks
from tfdqn.agents.losses.td import td_output, td_target
from tfdqn.config import DoubleDQN


def double_dqn(settings: DoubleDQN, networks: Networks, batch: Batch) -> LossOutput:
    """Computes the loss to the target network's value of the action that is best by the online network."""
    q_tm1 = networks.online(batch.observation_tm1)
    q_t = networks.target(batch.observation_t)
    q_select_t = networks.online(batch.observation_t)
    target = td_target(settings, batch, networks.greedy_value(q_t, q_select_t, batch.legal_t))
    return td_output(settings, target, q_tm1, batch.action_tm1)
