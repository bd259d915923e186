"""Roles: what a process of a job can be."""

from enum import StrEnum

from msgspec import Struct

from tfdqn.config import Config
from tfdqn.config.strategy_checks import learning_processes


class Role(StrEnum):
    """What a process of a job does."""

    REPLAY_SERVER = "replay_server"
    LEARNER = "learner"
    PARAMETER_SERVER = "parameter_server"
    WORKER = "worker"
    ACTOR = "actor"
    EVALUATOR = "evaluator"


class ProcessId(Struct, frozen=True, order=True):
    """One process of a job: the index-th of its role."""

    role: Role
    index: int = 0

    def __str__(self) -> str:
        return f"{self.role.replace('_', ' ')} {self.index}"

    @property
    def file_stem(self) -> str:
        """For the names of its own files: "actor-0"."""
        return f"{self.role}-{self.index}"


LEARNER = ProcessId(Role.LEARNER)
WITHOUT_ADDRESS = (Role.ACTOR, Role.EVALUATOR)


def counted(count: int, role: Role) -> str:
    """So many of a role, in words: "no actor", "1 actor", "2 actors"."""
    return f"{count or 'no'} {role.replace('_', ' ')}{'s' if count > 1 else ''}"


def required_counts(config: Config) -> dict[Role, tuple[int, str]]:
    """How many processes of a role a configuration makes there be, and by which keys."""
    learner, ensemble = config.learner, config.ensemble
    is_asynchronous = learner.strategy == "parameter_server"
    workers = learner.workers if is_asynchronous else learning_processes(config) - 1
    strategy = f'learner.strategy = "{learner.strategy}"'
    required = {
        Role.REPLAY_SERVER: (config.replay.shards, "replay.shards"),
        Role.PARAMETER_SERVER: (
            learner.parameter_servers if is_asynchronous else 0,
            f"learner.parameter_servers and {strategy}",
        ),
        Role.WORKER: (workers, f"learner.workers and {strategy}"),
        Role.ACTOR: (config.acting.actors, "acting.actors"),
    }
    if ensemble.in_processes:
        required[Role.REPLAY_SERVER] = (ensemble.size, "ensemble.size")
        required[Role.WORKER] = (ensemble.size - 1, 'ensemble.size and ensemble.execution = "processes"')
    return required
