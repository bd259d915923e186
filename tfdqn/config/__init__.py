"""The configuration of a run: one file per section, its reading, checking and writing.

In: a TOML file and KEY=VALUE arguments (`toml.load`), or a `Config` made in Python (`toml.checked`). Out: a frozen
`Config` whose keys are each valid and agree with one another: below the command line and `tfdqn.train` nobody checks it
again. Imports `errors` alone.

- A key is a field of its section: type and limits, default, `doc("what it means")`, and a mark of `fields.py` such as
  `MAY_CHANGE` where a run may be resumed with another value. `tfdqn config`, messages and resuming know it from there.
- What a key needs of other keys to be read at all is a mark beside these, `needs("agent.loss", "huber")`:
  `unused_keys.py` finds what is set in vain, `reader.py` refuses it, `tfdqn config` prints what is needed.
- A section is a struct below `Section`, a field of `schema.Config` and a name in this file.
- A kind of agent or network is a subclass of `Agent` or `Network` with a tag, here or in a package of yours.
- Keys that can't go together are refused by a function in `checks.py`, or `strategy_checks.py`.
"""

from tfdqn.config.agent import C51, DQN, IQN, PQN, QRDQN, Agent, DoubleDQN, Ensemble, Munchausen, QuantileAgent, TDAgent
from tfdqn.config.exploration import Boltzmann, EpsilonGreedy, Exploration
from tfdqn.config.learner import Learner
from tfdqn.config.network import MLP, DeepNetwork, Impala, Linear, NatureCNN, Network, SmallCNN
from tfdqn.config.optimizer import SGD, Adam, Optimizer, RAdam, RMSprop
from tfdqn.config.priorities import Priorities
from tfdqn.config.schema import Acting, Checkpoint, Config, Evaluation, Export, Health, Logging, Replay, Stop
from tfdqn.config.task import Task
from tfdqn.config.tracking import Tracking

__all__ = [
    "C51",
    "DQN",
    "IQN",
    "MLP",
    "PQN",
    "QRDQN",
    "SGD",
    "Acting",
    "Adam",
    "Agent",
    "Boltzmann",
    "Checkpoint",
    "Config",
    "DeepNetwork",
    "DoubleDQN",
    "Ensemble",
    "EpsilonGreedy",
    "Evaluation",
    "Exploration",
    "Export",
    "Health",
    "Impala",
    "Learner",
    "Linear",
    "Logging",
    "Munchausen",
    "NatureCNN",
    "Network",
    "Optimizer",
    "Priorities",
    "QuantileAgent",
    "RAdam",
    "RMSprop",
    "Replay",
    "SmallCNN",
    "Stop",
    "TDAgent",
    "Task",
    "Tracking",
]
