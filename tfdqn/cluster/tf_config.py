"""`Cluster`: which process is where, to and from `TF_CONFIG`, as TensorFlow and cloud platforms write it."""

import json
import os
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from tfdqn.errors import ConfigError
from tfdqn.system.addresses import check_reachable, host_and_port, is_address

VARIABLE = "TF_CONFIG"
_ORIGIN = f"environment variable {VARIABLE}"
CHIEF, WORKER, PARAMETER_SERVER = "chief", "worker", "ps"
_LEARNING_JOBS = (CHIEF, WORKER, PARAMETER_SERVER)
_MOST_SHOWN = 50  # characters of what is wrong
# Allowed, and left out: `tf.distribute` would reject them.
_OTHER_JOBS = ("evaluator", "actor", "replay_server", "learner")


class Cluster(Struct, frozen=True, kw_only=True):
    """The learning processes' addresses, and which of them this one is."""

    jobs: dict[str, tuple[str, ...]]  # job → "host:port" of each of its tasks
    job: str
    index: int
    names: dict[str, str] = {}  # address → what a job calls the process there

    @property
    def name(self) -> str:
        """Of this process, for people: "worker 1"."""
        return self.name_of(self.job, self.index)

    def name_of(self, job: str, index: int) -> str:
        """Likewise of any."""
        return self.names.get(self.jobs[job][index]) or _name(job, index)

    @property
    def is_chief(self) -> bool:
        """Whether this process acts, writes and decides; without a job of that name, the first worker does."""
        return self.job == CHIEF or (CHIEF not in self.jobs and (self.job, self.index) == (WORKER, 0))

    @property
    def chief_address(self) -> str:
        """Where the others reach the chief."""
        return self.jobs[CHIEF if CHIEF in self.jobs else WORKER][0]

    @property
    def chief_host(self) -> str:
        """By which name or number the others reach the chief's host."""
        return host_and_port(self.chief_address)[0]

    def addresses(self, job: str) -> tuple[str, ...]:
        return self.jobs.get(job, ())

    def seen_from(self, job: str, index: int) -> "Cluster":
        """The same cluster for another of its processes."""
        return Cluster(jobs=self.jobs, job=job, index=index, names=self.names)

    def tf_config(self) -> str:
        """The value of `TF_CONFIG` that says the same."""
        jobs = {job: list(addresses) for job, addresses in self.jobs.items()}
        return json.dumps({"cluster": jobs, "task": {"type": self.job, "index": self.index}})


def cluster_from(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """What `TF_CONFIG` says; None where it is not set, or names no cluster. Raises ConfigError."""
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unusable(f"it is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise _unusable("it is not a JSON object")
    if content and "cluster" not in content:
        raise _unusable(f'it has no "cluster", but {", ".join(map(repr, content))}')
    if not content.get("cluster"):
        return None
    jobs = _jobs(content["cluster"])
    task = content.get("task")
    if not isinstance(task, dict):
        raise _unusable('"task" must say which process this is: {"type": "worker", "index": 0}')
    job, index = task.get("type"), str(task.get("index", 0))
    if job not in list(jobs):
        raise _unusable(f"task.type = {job!r} is none of the cluster's jobs that learn: {', '.join(jobs)}")
    if index not in map(str, range(len(jobs[job]))):
        found = repr(task["index"])[:_MOST_SHOWN]
        raise _unusable(f"task.index = {found}: {job} has {len(jobs[job])} tasks, counted from 0")
    return Cluster(jobs=jobs, job=job, index=int(index))


def _jobs(cluster: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(cluster, dict):
        raise _unusable('"cluster" must map each job to its addresses')
    unknown = [job for job in cluster if job not in (*_LEARNING_JOBS, *_OTHER_JOBS)]
    if unknown:
        allowed = ", ".join((*_LEARNING_JOBS, *_OTHER_JOBS))
        raise _unusable(f"cluster.{unknown[0]}: there is no such job; there are {allowed}")
    jobs: dict[str, tuple[str, ...]] = {}
    for job in _LEARNING_JOBS:
        addresses = cluster.get(job) or []
        if not isinstance(addresses, list) or not all(is_address(each) for each in addresses):
            raise _unusable(f'cluster.{job} must be a list of "host:port", not {addresses!r}')
        if addresses:
            jobs[job] = tuple(addresses)
    everybody = [address for addresses in jobs.values() for address in addresses]
    if len(set(everybody)) < len(everybody):
        raise _unusable(f"two processes have one address: {', '.join(everybody)}")
    if not jobs:
        raise _unusable(f"the cluster has none of {', '.join(_LEARNING_JOBS)}")
    check_reachable(
        {_name(job, i): address for job, each in jobs.items() for i, address in enumerate(each)}, _ORIGIN
    )
    return jobs


def _name(job: str, index: int) -> str:
    return {PARAMETER_SERVER: "parameter server"}.get(job, job) + f" {index}"


def _unusable(why: str) -> ConfigError:
    return ConfigError(f"{_ORIGIN}: {why}")
