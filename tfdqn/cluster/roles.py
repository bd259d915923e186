"""The roles of a job's processes, and the table of their traits, which all code about processes reads.

To add a role, add a row to `TRAITS` and a file of its name to `roles/`.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from tfdqn.cluster.tf_config import CHIEF, PARAMETER_SERVER, WORKER, tensorflow_jobs
from tfdqn.config import Config


class Role(StrEnum):
    """What a process of a job does."""

    REPLAY_SERVER = "replay_server"
    LEARNER = "learner"
    PARAMETER_SERVER = "parameter_server"
    WORKER = "worker"
    ACTOR = "actor"
    EVALUATOR = "evaluator"


class ProcessId(Struct, frozen=True, order=True):
    """The identity of one process of a job: its role and its index."""

    role: Role
    index: int = 0

    def __str__(self) -> str:
        return f"{self.role.replace('_', ' ')} {self.index}"

    @property
    def file_stem(self) -> str:
        """The stem of the names of its files, such as "actor-0"."""
        return f"{self.role}-{self.index}"


LEARNER = ProcessId(Role.LEARNER)


class Count(NamedTuple):
    """The number of processes of a role that a configuration asks for, and the keys that determine it, for errors."""

    number: int
    keys: str = ""


class Resources(NamedTuple):
    """The resources that a platform reserves for one process."""

    cpus: int
    memory_gib: int


class Traits(Struct, frozen=True, kw_only=True):
    """The traits of a role."""

    count: Callable[[Config], Count]  # of its processes
    resources: Resources  # of each process
    needs: tuple[Role, ...] = ()  # that it depends on at work; they may start in any order, and are stopped after it
    tensorflow_job: str = ""  # its name in `TF_CONFIG` and `tf.distribute`, which know only the processes that learn
    opens: str = ""  # what anyone who reaches its address can do there; empty if it has no address
    keeps_files: bool = False  # whether it writes to the run's directory
    gets_credentials: bool = False  # the user's, since it reports to trackers and exports to buckets
    holds_state: bool = False  # whether it keeps state of the job in memory, and so must run as long as the others
    evictable: int = 0  # if it holds state, how many of its processes may be absent while the job goes on
    computes_gradients: Callable[[Config], bool] = lambda config: False  # and so gets GPUs
    grace_seconds: int = 10  # the time it has to save, between SIGTERM and SIGKILL

    @property
    def serves(self) -> bool:
        """Whether it has an address at which other processes reach it."""
        return bool(self.opens)


def _replay_servers(config: Config) -> Count:
    if config.ensemble.in_processes:
        return Count(config.ensemble.size, "ensemble.size")
    return Count(config.replay.shards, "replay.shards")


def _parameter_servers(config: Config) -> Count:
    keys = f'learner.parameter_servers and learner.strategy = "{config.learner.strategy}"'
    return Count(tensorflow_jobs(config).get(PARAMETER_SERVER, 0), keys)


def _workers(config: Config) -> Count:
    """The number of workers. Without a job "chief", the learner is the first of TensorFlow's workers."""
    jobs = tensorflow_jobs(config)
    number = jobs.get(WORKER, 0) - (1 if jobs and CHIEF not in jobs else 0)
    if config.ensemble.in_processes:
        return Count(number, 'ensemble.size and ensemble.execution = "processes"')
    return Count(number, f'learner.workers and learner.strategy = "{config.learner.strategy}"')


TENSORFLOW_OPENS = "TensorFlow's server runs whatever graph it is sent, and so can read and write this process's files"
TRAITS = {
    Role.REPLAY_SERVER: Traits(
        count=_replay_servers,
        resources=Resources(2, 4),
        opens="Reverb listens on every interface, and anyone can read and change what is learned from",
        keeps_files=True,
        holds_state=True,
        evictable=1,
        grace_seconds=100,
    ),
    Role.LEARNER: Traits(
        count=lambda config: Count(1),
        resources=Resources(4, 4),
        needs=(Role.WORKER, Role.PARAMETER_SERVER, Role.REPLAY_SERVER),
        tensorflow_job=CHIEF,
        opens="anyone can read the weights and the configuration, and say what actors have done",
        keeps_files=True,
        gets_credentials=True,
        computes_gradients=lambda config: config.learner.strategy != "parameter_server",
        grace_seconds=100,
    ),
    Role.PARAMETER_SERVER: Traits(
        count=_parameter_servers,
        resources=Resources(1, 2),
        tensorflow_job=PARAMETER_SERVER,
        opens=TENSORFLOW_OPENS,
        holds_state=True,
    ),
    Role.WORKER: Traits(
        count=_workers,
        resources=Resources(2, 4),
        needs=(Role.PARAMETER_SERVER, Role.REPLAY_SERVER),
        tensorflow_job=WORKER,
        opens=TENSORFLOW_OPENS,
        computes_gradients=lambda config: True,
    ),
    Role.ACTOR: Traits(
        count=lambda config: Count(config.acting.actors, "acting.actors"),
        resources=Resources(1, 2),
        needs=(Role.LEARNER, Role.REPLAY_SERVER),
    ),
    Role.EVALUATOR: Traits(
        count=lambda config: Count(1),
        resources=Resources(1, 2),
        needs=(Role.LEARNER,),
        keeps_files=True,
        gets_credentials=True,
    ),
}


def serving(*, but: Role | None = None) -> list[Role]:
    """The roles whose processes have addresses, except `but`."""
    return [role for role in Role if TRAITS[role].serves and role is not but]


def process_counts(config: Config, *, has_evaluator: bool = True) -> dict[Role, int]:
    """The number of processes of each role in a job of this configuration."""
    counts = {role: traits.count(config).number for role, traits in TRAITS.items()}
    return counts if has_evaluator else {**counts, Role.EVALUATOR: 0}


def counted(count: int, role: Role) -> str:
    """A number of processes in words: "no actor", "1 actor", "2 actors"."""
    return f"{count or 'no'} {role.replace('_', ' ')}{'s' if count > 1 else ''}"
