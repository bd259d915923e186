"""What `TF_CONFIG` and `CLUSTER_SPEC` say of a job's processes, as TensorFlow, Kubeflow and Vertex AI write them."""

import json
import os
from collections.abc import Mapping
from typing import Any

from tfdqn.cluster.placement import Machine, Machines
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.tf_config import CHIEF, PARAMETER_SERVER, VARIABLE, WORKER, Cluster, process_name
from tfdqn.cluster.topology import Topology, role_of_job, topology_of_jobs
from tfdqn.errors import ConfigError
from tfdqn.system.addresses import check_reachable, is_address

CLUSTER_SPEC = "CLUSTER_SPEC"
_ORIGIN = f"environment variable {VARIABLE}"
_LEARNING_JOBS = (CHIEF, WORKER, PARAMETER_SERVER)
_MOST_SHOWN = 50  # characters of what is wrong
# Allowed, and left out: `tf.distribute` would reject them.
_OTHER_JOBS = ("evaluator", "actor", "replay_server", "learner")


def cluster_of_environment(environment: Mapping[str, str] = os.environ) -> Cluster | None:
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
        {process_name(job, i): address for job, each in jobs.items() for i, address in enumerate(each)},
        _ORIGIN,
    )
    return jobs


def topology_of_environment(environment: Mapping[str, str] = os.environ) -> tuple[Topology, ProcessId]:
    """What `TF_CONFIG` says, and which process it makes this one, if there is such a one. Raises ConfigError."""
    origin = f"environment variable {VARIABLE}"
    if not environment.get(VARIABLE, "").strip():
        raise ConfigError(f"where the job's processes are: give --cluster FILE, or set {VARIABLE}")
    try:
        content = json.loads(environment[VARIABLE])
        jobs, task = content["cluster"], content["task"]
        name, index = str(task["type"]), int(str(task.get("index", 0)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError(
            f'{origin} must be JSON like {{"cluster": {{…}}, "task": {{"type": "actor", "index": 0}}}}'
        ) from None
    topology = topology_of_jobs(jobs, origin)
    role = Role.LEARNER if name == CHIEF else role_of_job(name, origin)
    return topology, ProcessId(role, index)


def machines_of_environment(environment: Mapping[str, str] = os.environ) -> Machines:
    """What `CLUSTER_SPEC` says, or where there is none `TF_CONFIG`. Raises ConfigError."""
    variable = CLUSTER_SPEC if environment.get(CLUSTER_SPEC, "").strip() else VARIABLE
    origin = f"environment variable {variable}"
    if not environment.get(variable, "").strip():
        raise ConfigError(f"where the job's machines are: {VARIABLE} or {CLUSTER_SPEC} must be set")
    try:
        content = json.loads(environment[variable])
        addresses, task = content["cluster"], content["task"]
        this = Machine(str(task["type"]), int(str(task.get("index", 0))))
        pools = {pool: tuple(each) for pool, each in addresses.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError(
            f'{origin} must be JSON like {{"cluster": {{"worker": ["host:port"]}}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from None
    wrong: list[Any] = [each for pool in pools.values() for each in pool if not is_address(each)]
    if wrong:
        raise ConfigError(f'{origin}: a machine must be "host:port", not {wrong[0]!r}')
    return Machines(addresses=pools, this=this, origin=origin)


def _unusable(why: str) -> ConfigError:
    return ConfigError(f"{_ORIGIN}: {why}")
