"""DQN: Mnih et al. 2015, 'Human-level control through deep reinforcement learning'.

y = r + γ max_a Q⁻(s', a), their equation 2 (the target inside the square).
"""

from tfdqn.agents.loss import Batch, LossOutput, Networks
from tfdqn.agents.losses.td import td_output, td_target
from tfdqn.config import DQN


def dqn(settings: DQN, networks: Networks, batch: Batch) -> LossOutput:
    """Computes the loss to the target network's best value of the next state."""
    q_tm1 = networks.online(batch.observation_tm1)
    q_t = networks.target(batch.observation_t)
    target = td_target(settings, batch, networks.greedy_value(q_t, q_t, batch.legal_t))
    return td_output(settings, target, q_tm1, batch.action_tm1)
