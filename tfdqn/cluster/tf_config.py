"""`Cluster`: the processes that learn together, as TensorFlow's `TF_CONFIG` names them."""

import json

from msgspec import Struct

from tfdqn.config import Config
from tfdqn.system.addresses import host_and_port

VARIABLE = "TF_CONFIG"
CHIEF, WORKER, PARAMETER_SERVER = "chief", "worker", "ps"


class Cluster(Struct, frozen=True, kw_only=True):
    """The addresses of the learning processes, and which of them this one is."""

    jobs: dict[str, tuple[str, ...]]  # job → "host:port" of each of its tasks
    job: str
    index: int
    names: dict[str, str] = {}  # address → the name in a job of the process there

    @property
    def name(self) -> str:
        """This process's name in messages, such as "worker 1"."""
        return self.name_of(self.job, self.index)

    def name_of(self, job: str, index: int) -> str:
        """The name of a process in messages."""
        return self.names.get(self.jobs[job][index]) or process_name(job, index)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief. Without a job "chief", the first worker is."""
        return self.job == CHIEF or (CHIEF not in self.jobs and (self.job, self.index) == (WORKER, 0))

    @property
    def rank(self) -> int:
        """This process's number among those that learn in lockstep; 0 is the chief."""
        return self.index + (self.job != CHIEF and CHIEF in self.jobs)

    @property
    def chief_address(self) -> str:
        """The address of the chief, "host:port"."""
        return self.jobs[CHIEF if CHIEF in self.jobs else WORKER][0]

    @property
    def chief_host(self) -> str:
        """The name or IP address by which the others reach the chief's host."""
        return host_and_port(self.chief_address)[0]

    @property
    def counts(self) -> dict[str, int]:
        """The number of processes of each job."""
        return {job: len(addresses) for job, addresses in self.jobs.items()}

    @property
    def others(self) -> dict[str, tuple[str, int]]:
        """The job, and the index in it, of every other process, by its name in messages."""
        every = [(job, index) for job, addresses in self.jobs.items() for index in range(len(addresses))]
        return {self.name_of(*each): each for each in every if each != (self.job, self.index)}

    def addresses(self, job: str) -> tuple[str, ...]:
        return self.jobs.get(job, ())

    def tf_config(self) -> str:
        """The value of `TF_CONFIG` for this cluster and process."""
        return json.dumps({"cluster": self.jobs, "task": {"type": self.job, "index": self.index}})


def tensorflow_jobs(config: Config) -> dict[str, int]:
    """The number of processes of each job that learn together; empty if one learns alone.

    Without a job "chief", the first worker is the chief.
    """
    learner = config.learner
    if config.ensemble.in_processes:
        return {WORKER: config.ensemble.size}
    if learner.strategy == "parameter_server":
        return {CHIEF: 1, WORKER: learner.workers, PARAMETER_SERVER: learner.parameter_servers}
    processes = config.learner.processes
    return {WORKER: processes} if processes > 1 else {}


def process_name(job: str, index: int) -> str:
    """A process's name in messages, such as "parameter server 0"."""
    return {PARAMETER_SERVER: "parameter server"}.get(job, job) + f" {index}"
