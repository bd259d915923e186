"""`Topology`: every process of a job, by role: how many there are, and where the others reach them.

It is read from a cluster file, which is JSON of the same form as `TF_CONFIG`'s "cluster", or from `TF_CONFIG` itself as
clouds set it. `tf.distribute` knows only some of these jobs: `sub_cluster` is what it gets.
"""

import json
from pathlib import Path
from typing import Any

from msgspec import Struct

from tfdqn.cluster.roles import LEARNER, WITHOUT_ADDRESS, ProcessId, Role, counted
from tfdqn.cluster.tf_config import CHIEF, PARAMETER_SERVER, WORKER, Cluster
from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.system.addresses import check_reachable, is_address

# Names that `TF_CONFIG` has for the same.
_OTHER_NAMES = {"ps": Role.PARAMETER_SERVER}


class Topology(Struct, frozen=True, kw_only=True):
    """Where everybody is.

    The learner is reached at two addresses: at `learner` by every other process, and at `chief`, where it needs one,
    by `tf.distribute`'s. Actors and evaluators are reached by nobody: what counts is how many they are.
    """

    learner: str
    chief: str = ""
    replay_server: tuple[str, ...] = ()
    parameter_server: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()
    actor: int = 0
    evaluator: int = 0

    def count(self, role: Role) -> int:
        """How many processes have this role."""
        if role is Role.LEARNER:
            return 1
        found = getattr(self, role)
        return found if isinstance(found, int) else len(found)

    def process_ids(self, *roles: Role) -> list[ProcessId]:
        """Every process, or those of some roles."""
        return [ProcessId(role, i) for role in roles or Role for i in range(self.count(role))]

    def address(self, process_id: ProcessId) -> str:
        """Where a process that serves is reached, "host:port"."""
        return (
            self.learner
            if process_id.role is Role.LEARNER
            else str(getattr(self, process_id.role)[process_id.index])
        )

    def check_addresses(self, origin: str) -> None:
        """Raises ConfigError where two have one address, or some could not reach the others; `origin` names them."""
        serving = [process_id for process_id in self.process_ids() if process_id.role not in WITHOUT_ADDRESS]
        named = {str(process_id): self.address(process_id) for process_id in serving}
        named |= {"the chief": self.chief} if self.chief else {}
        if len(set(named.values())) < len(named):
            raise ConfigError(f"{origin}: two processes have one address: {', '.join(named.values())}")
        check_reachable(named, origin)

    def require(self, process_id: ProcessId, origin: str = "the cluster") -> None:
        """Raises ConfigError where there is no such process; `origin` is what says so."""
        count = self.count(process_id.role)
        if not 0 <= process_id.index < count:
            counted_from = ", counted from 0" if count else ""
            raise ConfigError(f"{process_id}: {origin} has {counted(count, process_id.role)}{counted_from}")

    def sub_cluster(self, config: Config, process_id: ProcessId) -> Cluster | None:
        """What `tf.distribute` is told, as seen from the learner, a worker or a parameter server; None: nothing."""
        if not self.worker and not self.parameter_server:
            return None
        names = {
            self.address(each): str(each) for each in self.process_ids(Role.WORKER, Role.PARAMETER_SERVER)
        }
        names[self.chief] = str(LEARNER)
        if config.learner.strategy == "parameter_server":
            jobs = {CHIEF: (self.chief,), WORKER: self.worker, PARAMETER_SERVER: self.parameter_server}
            kinds = {Role.LEARNER: CHIEF, Role.WORKER: WORKER, Role.PARAMETER_SERVER: PARAMETER_SERVER}
            return Cluster(jobs=jobs, job=kinds[process_id.role], index=process_id.index, names=names)
        index = (
            0 if process_id.role is Role.LEARNER else process_id.index + 1
        )  # the learner is one of the workers
        return Cluster(jobs={WORKER: (self.chief, *self.worker)}, job=WORKER, index=index, names=names)

    def to_json(self) -> bytes:
        """The content of a cluster file."""
        lists = {
            role.value: list(getattr(self, role))
            for role in (Role.REPLAY_SERVER, Role.PARAMETER_SERVER, Role.WORKER)
            if getattr(self, role)
        }
        jobs = {"learner": [self.learner], **({"chief": [self.chief]} if self.chief else {}), **lists}
        counts = {role.value: self.count(role) for role in WITHOUT_ADDRESS}
        return json.dumps({**jobs, **counts}, indent=2).encode() + b"\n"


def read_topology(file: Path) -> Topology:
    """Reads a cluster file. Raises ConfigError."""
    try:
        jobs = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not JSON: {error}") from None
    return topology_of_jobs(jobs, str(file))


def topology_of_jobs(jobs: Any, origin: str) -> Topology:
    """A cluster file's content, or `TF_CONFIG`'s "cluster"; `origin` names it. Raises ConfigError."""
    if not isinstance(jobs, dict):
        raise ConfigError(f"{origin}: the cluster must map each job to its addresses")
    values: dict[str, Any] = {}
    for name, value in jobs.items():
        if name == CHIEF:
            (values[name],) = _addresses(value, name, origin, only_one=True)
            continue
        role = role_of_job(name, origin)
        if role in WITHOUT_ADDRESS:
            values[role.value] = _number(value, name, origin)
        elif role is Role.LEARNER:
            (values[role.value],) = _addresses(value, name, origin, only_one=True)
        else:
            values[role.value] = _addresses(value, name, origin)
    if "learner" not in values:
        raise ConfigError(f'{origin}: the cluster has no "learner", where every other process finds it')
    topology = Topology(**values)
    topology.check_addresses(origin)
    return topology


def role_of_job(name: str, origin: str) -> Role:
    """By the name that a cluster has for it. Raises ConfigError."""
    try:
        return Role(_OTHER_NAMES.get(name, name))
    except ValueError:
        allowed = ", ".join([CHIEF, *_OTHER_NAMES, *Role])
        raise ConfigError(f"{origin}: {name!r} is no job of a cluster: {allowed}") from None


def _number(value: Any, name: str, origin: str) -> int:
    """A count, or as `TF_CONFIG` must have it a list."""
    if isinstance(value, list):
        return len(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{origin}: {name} must be how many there are, or a list, not {value!r}")
    return value


def _addresses(value: Any, name: str, origin: str, only_one: bool = False) -> tuple[str, ...]:
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(is_address(each) for each in value):
        raise ConfigError(f'{origin}: {name} must be a list of "host:port", not {value!r}')
    if only_one and len(value) != 1:
        raise ConfigError(f"{origin}: there is one {name}, not {len(value)}")
    return tuple(value)
