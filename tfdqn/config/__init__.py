"""The configuration of a run: one file per section, its reading, checking and writing.

In: TOML and KEY=VALUE arguments. Out: a frozen `Config` that holds together. Imports `errors` alone.
The next section is a struct in a file of its own and a field of `schema.Config`; what it must not be together with
other keys goes to `checks.py`; whether a key may change on resume stands at the key.
"""

from tfdqn.config.agent import (
    MLP,
    SGD,
    Adam,
    Agent,
    Boltzmann,
    Ensemble,
    EpsilonGreedy,
    Linear,
    NatureCNN,
    RMSprop,
    Task,
)
from tfdqn.config.schema import (
    TASK_KEYS_THAT_MAY_CHANGE,
    Acting,
    Checkpoint,
    Config,
    Evaluation,
    Exploration,
    Export,
    Health,
    Learner,
    Logging,
    Network,
    Optimizer,
    Replay,
    Stop,
)

__all__ = [
    "MLP",
    "SGD",
    "TASK_KEYS_THAT_MAY_CHANGE",
    "Acting",
    "Adam",
    "Agent",
    "Boltzmann",
    "Checkpoint",
    "Config",
    "Ensemble",
    "EpsilonGreedy",
    "Evaluation",
    "Exploration",
    "Export",
    "Health",
    "Learner",
    "Linear",
    "Logging",
    "NatureCNN",
    "Network",
    "Optimizer",
    "RMSprop",
    "Replay",
    "Stop",
    "Task",
]
