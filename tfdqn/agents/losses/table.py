"""`LOSSES`: which loss the settings of `[agent]` name."""

from tfdqn.agents.loss import Loss
from tfdqn.agents.losses.double_dqn import double_dqn
from tfdqn.agents.losses.dqn import dqn
from tfdqn.agents.losses.munchausen import munchausen
from tfdqn.agents.losses.pqn import pqn
from tfdqn.config import DQN, PQN, DoubleDQN, Munchausen
from tfdqn.networks.registry import Registry

LOSSES: Registry[Loss] = Registry({DQN: dqn, DoubleDQN: double_dqn, Munchausen: munchausen, PQN: pqn})
