"""The configuration of a run: the sections, and how it is read, checked and written.

In: a TOML file and KEY=VALUE arguments (`toml.load`), or a `Config` made in Python (`toml.checked`). Out: a frozen
`Config` whose keys are valid and consistent: no code below the command line and `tfdqn.train` checks it again. Imports
only `errors`.

- To add a key, add a field to its section: its type and limits, its default, `doc("what it means")`, and, where its
  section in `Config` doesn't say whether a run may be resumed with another value, a mark from `fields.py` such as
  `MAY_CHANGE`. `tfdqn config`, error messages and resuming take everything from there. Then
  `tfdqn config --reference > docs/configuration.md`.
- If a key has an effect only with certain values of other keys, mark it, for instance with
  `needs("agent.loss", "huber")`. `checks.py` finds keys that are set without effect, `reader.py` refuses them, and
  `tfdqn config` prints what they need.
- To add a section, write a subclass of `Section`, and add it to `schema.Config` and to this file.
- To add a kind of agent or network, write a subclass of `Agent` or `Network` with a tag, here or in your own package;
  of `ConvolutionalNetwork` for a network with convolutions.
- To refuse a combination of keys, extend a function of `checks.py`, or of one of the files that it names, or add one.
"""

from tfdqn.config.acting import Acting, Boltzmann, EpsilonGreedy, Exploration
from tfdqn.config.agent import C51, DQN, IQN, PQN, QRDQN, Agent, DoubleDQN, Ensemble, Munchausen, QuantileAgent, TDAgent
from tfdqn.config.learner import Learner
from tfdqn.config.network import MLP, ConvolutionalNetwork, DeepNetwork, Impala, Linear, NatureCNN, Network, SmallCNN
from tfdqn.config.optimizer import SGD, Adam, Optimizer, RAdam, RMSprop
from tfdqn.config.replay import Priorities, Replay
from tfdqn.config.schema import Checkpoint, Config, Evaluation, Export, Health, Logging, Stop, Tracking
from tfdqn.config.task import Task
