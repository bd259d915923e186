"""Reads a job's processes from `TF_CONFIG` and `CLUSTER_SPEC`, as TensorFlow, Kubeflow and Vertex AI write them.

Both are JSON of one form: {"cluster": {"worker": ["host:port"]}, "task": {"type": "worker", "index": 0}}.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tfdqn.cluster.checks import check_topology
from tfdqn.cluster.placement import Machine, Machines
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.tf_config import CHIEF, PARAMETER_SERVER, VARIABLE, WORKER, Cluster, process_name
from tfdqn.cluster.topology import Topology, job_addresses, read_topology, role_of_job, topology_of_jobs
from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.system.addresses import check_addresses, refuse_shared
from tfdqn.system.json_objects import JsonError, loads_once

CLUSTER_SPEC = "CLUSTER_SPEC"
_LEARNING_JOBS = (CHIEF, WORKER, PARAMETER_SERVER)
_MAX_SHOWN = 50  # characters of an invalid value in an error


class _Variable(NamedTuple):
    """The content of a variable: the cluster's jobs with their addresses, and which task this process is."""

    origin: str  # the variable's name, for errors
    jobs: dict[str, Any]  # empty if it names no cluster
    task: Any

    def process(self) -> tuple[str, int]:
        """The job, and the index in it, of this process. Raises ConfigError."""
        if not isinstance(self.task, dict) or "type" not in self.task:
            raise self.error('"task" must say which process this is: {"type": "worker", "index": 0}')
        index = self.task.get("index", 0)
        if not re.fullmatch(r"-?[0-9]{1,9}", str(index)):
            raise self.error(f"task.index = {repr(index)[:_MAX_SHOWN]} is not a number")
        return str(self.task["type"]), int(index)

    def addresses(self, job: str) -> tuple[str, ...]:
        return job_addresses(self.jobs[job], f"cluster.{job}", self.origin)

    def error(self, why: str) -> ConfigError:
        return ConfigError(f"{self.origin}: {why}")


def _variable(name: str, environment: Mapping[str, str]) -> _Variable | None:
    """Reads an environment variable; returns None if it is not set or empty. Raises ConfigError."""
    text = environment.get(name, "").strip()
    if not text:
        return None
    found = _Variable(f"environment variable {name}", {}, None)
    try:
        content = loads_once(text)
    except JsonError as error:
        raise found.error(str(error)) from None
    if not isinstance(content, dict):
        raise found.error("it is not a JSON object")
    if content and "cluster" not in content:
        raise found.error(f'it has no "cluster", but {", ".join(map(repr, content))}')
    jobs = content.get("cluster") or {}
    if not isinstance(jobs, dict):
        raise found.error('"cluster" must map each job to its addresses, as in {"worker": ["host-a:2222"]}')
    return found._replace(jobs=jobs, task=content.get("task"))


def cluster_of_environment(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """Reads the processes that learn together from `TF_CONFIG`; None if it names no cluster. Raises ConfigError."""
    variable = _variable(VARIABLE, environment)
    if variable is None or not variable.jobs:
        return None
    jobs = _learning_jobs(variable)
    job, index = variable.process()
    if job not in jobs:
        raise variable.error(f"task.type = {job!r} is not one of the cluster's jobs that learn: {', '.join(jobs)}")
    if not 0 <= index < len(jobs[job]):
        raise variable.error(f"task.index = {index}: {job} has {len(jobs[job])} tasks, counted from 0")
    return Cluster(jobs=jobs, job=job, index=index)


def topology_of_environment(environment: Mapping[str, str] = os.environ) -> tuple[Topology, ProcessId]:
    """Reads the topology from `TF_CONFIG`, and which of its processes this one is. Raises ConfigError."""
    variable = _variable(VARIABLE, environment)
    if variable is None:
        raise ConfigError(f"the addresses of the job's processes are needed: give --cluster FILE, or set {VARIABLE}")
    name, index = variable.process()
    topology = topology_of_jobs(variable.jobs, variable.origin)
    return topology, ProcessId(role_of_job(name, variable.origin), index)


def process_in_job(config: Config, cluster: Path | None, role: Role, index: int | None) -> tuple[Topology, ProcessId]:
    """Finds the job's topology, and which of its processes this one is.

    `cluster` is the cluster file; without one, `TF_CONFIG` is read. `role` and `index` are those of the command line;
    without an index it is 0, or `TF_CONFIG`'s. Raises ConfigError if there is no such process, `TF_CONFIG` names
    another, or the processes can't run the configuration.
    """
    asked = ProcessId(role, index or 0)
    if cluster is not None:
        topology, process_id, origin = read_topology(cluster), asked, str(cluster)
    else:
        (topology, process_id), origin = topology_of_environment(), VARIABLE
        if process_id.role is not role or index not in (None, process_id.index):
            raise ConfigError(f"{VARIABLE} makes this process {process_id}, not {asked}")
    topology.require(process_id, origin)
    check_topology(config, topology, origin)
    return topology, process_id


def machines_of_environment(environment: Mapping[str, str] = os.environ) -> Machines:
    """Reads the platform's machines from `CLUSTER_SPEC` or, if that is not set, `TF_CONFIG`. Raises ConfigError."""
    variable = _variable(CLUSTER_SPEC, environment) or _variable(VARIABLE, environment)
    if variable is None:
        raise ConfigError(f"{VARIABLE} or {CLUSTER_SPEC} must be set: it lists the job's machines")
    pools = {pool: variable.addresses(pool) for pool in variable.jobs}
    named = {str(Machine(pool, i)): address for pool, each in pools.items() for i, address in enumerate(each)}
    refuse_shared(named, variable.origin)
    return Machines(addresses=pools, this=Machine(*variable.process()), origin=variable.origin)


def _learning_jobs(variable: _Variable) -> dict[str, tuple[str, ...]]:
    """The addresses of the jobs that learn: `tf.distribute` would reject the others."""
    for job in variable.jobs:
        role_of_job(job, variable.origin)
    jobs = {job: variable.addresses(job) for job in _LEARNING_JOBS if variable.jobs.get(job)}
    named = {process_name(job, i): address for job, each in jobs.items() for i, address in enumerate(each)}
    check_addresses(named, variable.origin)
    if not jobs:
        raise variable.error(f"the cluster has none of {', '.join(_LEARNING_JOBS)}")
    return jobs
