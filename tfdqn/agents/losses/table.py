"""`LOSSES`: the loss for each type of the settings in `[agent]`."""

from tfdqn.agents.loss import Loss, check_loss
from tfdqn.agents.losses.c51 import c51
from tfdqn.agents.losses.double_dqn import double_dqn
from tfdqn.agents.losses.dqn import dqn
from tfdqn.agents.losses.iqn import iqn
from tfdqn.agents.losses.munchausen import munchausen
from tfdqn.agents.losses.pqn import pqn
from tfdqn.agents.losses.qr_dqn import qr_dqn
from tfdqn.config import C51, DQN, IQN, PQN, QRDQN, Agent, DoubleDQN, Munchausen
from tfdqn.networks.registry import Registry

LOSSES: Registry[Loss] = Registry(
    "LOSSES",
    Agent,
    {DQN: dqn, DoubleDQN: double_dqn, Munchausen: munchausen, C51: c51, QRDQN: qr_dqn, IQN: iqn, PQN: pqn},
    check_loss,
)
