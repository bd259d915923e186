"""The configuration of a run: one file per section, its reading, checking and writing.

In: TOML and KEY=VALUE arguments. Out: a frozen `Config` that holds together. Imports `errors` alone.
The next section is a struct in a file of its own and a field of `schema.Config`; what it must not be together with
other keys goes to `checks.py`; whether a key may change on resume stands at the key.
"""

from tfdqn.config.agent import DQN, Agent, DoubleDQN, Ensemble, Munchausen, TDAgent
from tfdqn.config.exploration import Boltzmann, EpsilonGreedy, Exploration
from tfdqn.config.learner import Learner
from tfdqn.config.network import MLP, Linear, NatureCNN, Network
from tfdqn.config.optimizer import SGD, Adam, Optimizer, RMSprop
from tfdqn.config.schema import (
    Acting,
    Checkpoint,
    Config,
    Evaluation,
    Export,
    Health,
    Logging,
    Replay,
    Stop,
)
from tfdqn.config.task import Task

__all__ = [
    "DQN",
    "MLP",
    "SGD",
    "Acting",
    "Adam",
    "Agent",
    "Boltzmann",
    "Checkpoint",
    "Config",
    "DoubleDQN",
    "Ensemble",
    "EpsilonGreedy",
    "Evaluation",
    "Exploration",
    "Export",
    "Health",
    "Learner",
    "Linear",
    "Logging",
    "Munchausen",
    "NatureCNN",
    "Network",
    "Optimizer",
    "RMSprop",
    "Replay",
    "Stop",
    "TDAgent",
    "Task",
]
