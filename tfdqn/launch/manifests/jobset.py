"""A job as one Kubernetes JobSet: an Indexed Job for each role, which begin, fail and end together.

When the learner has completed, the job has, and the other pods are told to end. By its pod failure policy, a Job knows
which exit statuses mean that a pod is to be replaced. A pod with status 2 fails its Job and the JobSet at once, since
only the user can correct that. If a Job's pods crash too often, all Jobs start again from the last checkpoint, up to
three times.

It uses only what the API `jobset.x-k8s.io/v1alpha2` has since version 0.7:
https://github.com/kubernetes-sigs/jobset/blob/v0.12.0/api/jobset/v1alpha2/jobset_types.go
"""

import re
from typing import Any

from tfdqn.cluster.roles import TRAITS, ProcessId, Role
from tfdqn.errors import ConfigError
from tfdqn.launch.manifests import pods
from tfdqn.launch.manifests.job_spec import JobSpec
from tfdqn.launch.manifests.kubernetes_objects import (
    budget,
    config_map,
    indexed_job,
    metadata,
    network_policy,
    run_claim,
    tensorboard,
)
from tfdqn.launch.manifests.sizes import Objects, in_sizes

_CRASHES_OF_ONE = 5  # of one pod, after which its Job has failed
_RESTARTS = 3  # of all Jobs together
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_QUEUE = r"(?=.{1,63}$)[a-z0-9]+([-.]+[a-z0-9]+)*"


def render(spec: JobSpec) -> dict[str, str]:
    """kustomization.yaml, the base that it names, and the overlays, by path. Raises ConfigError."""
    if spec.queue and not re.fullmatch(_QUEUE, spec.queue):
        raise ConfigError(
            f'--queue "{spec.queue}": a queue has a name of at most 63 lower-case letters, digits, - and .'
        )
    return in_sizes(spec, _objects)


def _objects(spec: JobSpec) -> Objects:
    topology = spec.program(lambda process_id: _host(spec, process_id)).topology
    counts = {role: topology.count(role) for role in Role if topology.count(role)}
    return {
        "configuration.yaml": [config_map(spec, {"cluster.json": topology.to_json().decode()})],
        "storage.yaml": [run_claim(spec, replay_servers=counts[Role.REPLAY_SERVER])],
        "network.yaml": [network_policy(spec)],
        "disruption.yaml": [
            budget(spec, role, count, is_job=True) for role, count in counts.items() if TRAITS[role].serves
        ],
        "jobset.yaml": [_job_set(spec, counts)],
        **tensorboard(spec),
    }


def _name(role: Role) -> str:
    return role.replace("_", "-")


def _host(spec: JobSpec, process_id: ProcessId) -> str:
    """A pod's host name: JOBSET-ROLE-JOB-POD.SERVICE, where a role has one Job, 0, and the Service is the JobSet's."""
    return f"{spec.name}-{_name(process_id.role)}-0-{process_id.index}.{spec.name}"


def _job_set(spec: JobSpec, counts: dict[Role, int]) -> dict[str, Any]:
    of_queue = {_QUEUE_LABEL: spec.queue} if spec.queue else {}
    common = metadata(spec, spec.name)
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": common | {"labels": common["labels"] | of_queue},
        "spec": {
            # Kueue resumes it on admission.
            **({"suspend": True} if spec.queue else {}),
            # Pods have DNS names before they are ready, since each waits for the others.
            "network": {"enableDNSHostnames": True, "subdomain": spec.name, "publishNotReadyAddresses": True},
            "successPolicy": {"operator": "All", "targetReplicatedJobs": [_name(Role.LEARNER)]},
            "failurePolicy": {
                "maxRestarts": _RESTARTS,
                # All pods of an attempt end before those of the next begin, so that they can't reach each other.
                "restartStrategy": "BlockingRecreate",
                "rules": [{"name": "mistake", "action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}],
            },
            "replicatedJobs": [_replicated_job(spec, role, count) for role, count in counts.items()],
        },
    }


def _replicated_job(spec: JobSpec, role: Role, count: int) -> dict[str, Any]:
    # Replay servers keep their files in the run's directory, since a JobSet makes no volume claim for each pod.
    template = pods.template(spec, role, is_of_job=True)
    return {
        "name": _name(role),
        "replicas": 1,
        "template": {
            "metadata": {"labels": template["metadata"]["labels"]},
            "spec": indexed_job(template, count, crashes=_CRASHES_OF_ONE),
        },
    }
