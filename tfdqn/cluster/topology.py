"""`Topology`: the number and the addresses of all processes of a job, by role.

It is read from a cluster file, which is JSON of the same form as "cluster" in `TF_CONFIG`, or from `TF_CONFIG` itself.
`tf.distribute` knows only some of these jobs; it gets `sub_cluster`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from tfdqn.cluster.roles import LEARNER, TRAITS, ProcessId, Role, counted, serving
from tfdqn.cluster.tf_config import CHIEF, PARAMETER_SERVER, WORKER, Cluster, tensorflow_jobs
from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.system.addresses import check_addresses, is_address, refuse_shared
from tfdqn.system.json_objects import JsonError, loads_once

THE_CHIEF = "the chief"  # the learner at its second address

_EXAMPLE = '{"learner": ["host-a:2222"], "actor": 2}'


class Topology(Struct, frozen=True, kw_only=True):
    """The addresses, or the number, of all processes.

    The learner may have two addresses: every other process reaches it at `learner`, and `tf.distribute` at `chief`, if
    several processes learn together. Actors and evaluators have no address, only a number.
    """

    learner: str
    chief: str = ""
    replay_server: tuple[str, ...] = ()
    parameter_server: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()
    actor: int = 0
    evaluator: int = 0

    def count(self, role: Role) -> int:
        """The number of processes of this role."""
        if role is Role.LEARNER:
            return 1
        found = getattr(self, role)
        return found if isinstance(found, int) else len(found)

    def process_ids(self, *roles: Role) -> list[ProcessId]:
        """All processes, or those of some roles."""
        return [ProcessId(role, i) for role in roles or Role for i in range(self.count(role))]

    def address(self, process_id: ProcessId) -> str:
        """The address "host:port" of a serving process."""
        if process_id == LEARNER:
            return self.learner
        return str(getattr(self, process_id.role)[process_id.index])

    def addresses(self, process_id: ProcessId) -> tuple[str, ...]:
        """All addresses of a process: none, one, or the learner's two."""
        if not TRAITS[process_id.role].serves:
            return ()
        own = self.address(process_id)
        return (own, self.chief) if process_id == LEARNER and self.chief else (own,)

    def named_addresses(self) -> dict[str, str]:
        """All addresses, by the names of the processes ("worker 0"), and the learner's second one by `THE_CHIEF`."""
        named = {str(each): self.address(each) for each in self.process_ids(*serving())}
        return named | ({THE_CHIEF: self.chief} if self.chief else {})

    def require(self, process_id: ProcessId, origin: str = "the cluster") -> None:
        """Raises ConfigError, which names `origin`, if there is no such process."""
        count = self.count(process_id.role)
        if not 0 <= process_id.index < count:
            counted_from = ", counted from 0" if count else ""
            raise ConfigError(f"{process_id}: {origin} has {counted(count, process_id.role)}{counted_from}")

    def sub_cluster(self, config: Config, process_id: ProcessId) -> Cluster | None:
        """The cluster that `tf.distribute` gets in the given process; None if the learner learns alone."""
        if not self.worker and not self.parameter_server:
            return None
        learning = self.process_ids(Role.WORKER, Role.PARAMETER_SERVER)
        names = {self.address(each): str(each) for each in learning} | {self.chief: str(LEARNER)}
        if CHIEF in tensorflow_jobs(config):
            jobs = {CHIEF: (self.chief,), WORKER: self.worker, PARAMETER_SERVER: self.parameter_server}
            job, index = TRAITS[process_id.role].tensorflow_job, process_id.index
        else:  # the learner is the first of the workers
            jobs = {WORKER: (self.chief, *self.worker)}
            job, index = WORKER, 0 if process_id == LEARNER else process_id.index + 1
        return Cluster(jobs=jobs, job=job, index=index, names=names)

    def to_json(self) -> bytes:
        """The content of a cluster file."""
        jobs: dict[str, Any] = {"learner": [self.learner]} | ({"chief": [self.chief]} if self.chief else {})
        jobs |= {role: list(found) for role in serving(but=Role.LEARNER) if (found := getattr(self, role))}
        jobs |= {role: self.count(role) for role in Role if not TRAITS[role].serves}
        return json.dumps(jobs, indent=2).encode() + b"\n"


def make_topology(counts: Mapping[Role, int], address: Callable[[ProcessId], str], chief: str) -> Topology:
    """Makes a topology. `chief`, the learner's second address, is ignored if it learns alone."""
    fields: dict[str, Any] = {
        role.value: tuple(address(ProcessId(role, i)) for i in range(counts[role]))
        if TRAITS[role].serves
        else counts[role]
        for role in Role
    }
    fields |= {"learner": address(LEARNER), "chief": chief if counts[Role.WORKER] else ""}
    return Topology(**fields)


def topology_at(file: Path) -> Topology | None:
    """As `read_topology`; None if there is no such file, which may be removed at any time."""
    try:
        return read_topology(file)
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def read_topology(file: Path) -> Topology:
    """Reads a cluster file. Raises ConfigError."""
    try:
        jobs = loads_once(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}") from error
    except JsonError as error:
        raise ConfigError(f"{file}: {error}") from None
    return topology_of_jobs(jobs, str(file))


def topology_of_jobs(jobs: Any, origin: str) -> Topology:
    """Reads a topology from the content of a cluster file, or "cluster" in `TF_CONFIG`. Raises ConfigError.

    `origin` names the file or variable in errors.
    """
    if not isinstance(jobs, dict):
        raise ConfigError(f"{origin}: the cluster must map each job to its addresses, as in {_EXAMPLE}")
    if PARAMETER_SERVER in jobs and Role.PARAMETER_SERVER in jobs:
        both = f"{PARAMETER_SERVER} and {Role.PARAMETER_SERVER}"
        raise ConfigError(f"{origin}: {both} are the same job: give only one of them")
    values: dict[str, Any] = {}
    listed: dict[str, str] = {}  # the addresses of processes that don't serve, which nothing else looks at
    for name, value in jobs.items():
        role = Role.LEARNER if name == CHIEF else role_of_job(name, origin)
        if role is Role.LEARNER:
            (values[name],) = job_addresses(value, name, origin, only_one=True)
        elif TRAITS[role].serves:
            values[role.value] = job_addresses(value, name, origin)
        else:
            values[role.value] = _number(value, name, origin)
            there = value if isinstance(value, list) else []
            listed |= {f"{name} {i}": each for i, each in enumerate(there) if isinstance(each, str)}
    if "learner" not in values:
        raise ConfigError(f'{origin}: the cluster has no "learner", where every other process finds it')
    topology = Topology(**values)
    named = topology.named_addresses()
    check_addresses(named, origin)
    refuse_shared(named | listed, origin)
    return topology


def role_of_job(name: str, origin: str) -> Role:
    """The role of the job `name` of a cluster. Raises ConfigError if there is none."""
    names = {role.value: role for role in Role} | {CHIEF: Role.LEARNER, PARAMETER_SERVER: Role.PARAMETER_SERVER}
    if name not in names:
        allowed = ", ".join([CHIEF, PARAMETER_SERVER, *Role])
        raise ConfigError(f"{origin}: {name!r} is not a job of a cluster: the jobs are {allowed}")
    return names[name]


def _number(value: Any, name: str, origin: str) -> int:
    """Reads a number of processes, given as a number or, as in `TF_CONFIG`, by a list."""
    if isinstance(value, list):
        return len(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{origin}: {name} must be a count or a list, not {value!r}")
    return value


def job_addresses(value: Any, name: str, origin: str, only_one: bool = False) -> tuple[str, ...]:
    """Reads the addresses of the job `name`, a list of "host:port". Raises ConfigError."""
    if not isinstance(value, list) or not all(is_address(each) for each in value):
        raise ConfigError(f'{origin}: {name} must be a list of "host:port", not {value!r}')
    if only_one and len(value) != 1:
        raise ConfigError(f"{origin}: there can be only one {name}, not {len(value)}")
    return tuple(value)
