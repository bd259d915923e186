"""`headline`: describes a run in one line: "CartPole-v1: double DQN, MLP 120-84, local, 16 environments"."""

from tfdqn.config.agent import C51, QuantileAgent
from tfdqn.config.network import MLP, DeepNetwork, Network
from tfdqn.config.schema import Config
from tfdqn.errors import counted

_TARGETS = {"double": "double", "munchausen": "Munchausen"}  # by `agent.target`, other than the default "max"


def headline(config: Config) -> str:
    """The task, agent, network, strategy and number of environments of a run, in one line."""
    parts = (_agent(config), _network(config.network), _strategy(config), _environments(config))
    return f"{config.task.id}: {', '.join(parts)}"


def _agent(config: Config) -> str:
    agent, members = config.agent, config.ensemble.size
    words = [agent.title or agent.kind]
    if isinstance(agent, C51 | QuantileAgent) and agent.target != "max":
        words.insert(0, _TARGETS[agent.target])
    if config.priorities.are_used:
        words.insert(0, "prioritised")
    return f"{members} x {' '.join(words)}" if members > 1 else " ".join(words)


def _network(network: Network) -> str:
    words = [network.title or network.kind]
    if isinstance(network, MLP) and network.hidden_units:
        words.append("-".join(map(str, network.hidden_units)))
    if isinstance(network, DeepNetwork):
        words[:0] = [word for word in ("noisy", "dueling") if getattr(network, word)]
        if network.state_size:
            words.append(f"with {network.memory.upper()} {network.memory_units}")
    return " ".join(words)


def _strategy(config: Config) -> str:
    learner = config.learner
    if config.ensemble.in_processes:
        return f"{config.ensemble.size} processes"
    has_workers = learner.strategy == "parameter_server" or learner.processes > 1
    if has_workers:
        return f"{learner.strategy} with {counted(learner.workers, 'worker')}"
    pieces = f" on {learner.model_parallel} devices a network" if learner.model_parallel > 1 else ""
    return f"{learner.strategy}{pieces}"


def _environments(config: Config) -> str:
    actors, environments = config.acting.actors, counted(config.task.num_envs, "environment")
    return environments if actors == 1 else f"{actors} actors with {environments} each"
