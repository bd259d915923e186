"""A job as plain Kubernetes manifests: a controller for each role.

Replay servers and parameter servers are StatefulSets, which never complete. All other roles end by themselves with the
job, and are Indexed Jobs, whose pods have stable names as well. By its pod failure policy, a Job knows which exit
statuses mean that a pod is to be replaced.
"""

from typing import Any

from tfdqn.cluster.roles import TRAITS, ProcessId, Role
from tfdqn.launch.manifests import pods
from tfdqn.launch.manifests.job_spec import JobSpec
from tfdqn.launch.manifests.kubernetes_objects import (
    budget,
    config_map,
    indexed_job,
    metadata,
    name,
    network_policy,
    replay_claim,
    run_claim,
    tensorboard,
)
from tfdqn.launch.manifests.sizes import Objects, in_sizes

_CRASHES_OF_ONE = 20  # of one pod, after which its Job has failed


def render(spec: JobSpec) -> dict[str, str]:
    """kustomization.yaml, the base that it names, and the overlays, by path. Raises ConfigError."""
    return in_sizes(spec, _objects)


def _objects(spec: JobSpec) -> Objects:
    topology = spec.program(lambda process_id: _host(spec, process_id)).topology
    counts = {role: topology.count(role) for role in Role if topology.count(role)}
    files = {
        "configuration.yaml": [config_map(spec, {"cluster.json": topology.to_json().decode()})],
        "storage.yaml": [run_claim(spec)],
        "network.yaml": [*(_service(spec, role) for role in counts if TRAITS[role].serves), network_policy(spec)],
        "disruption.yaml": [
            budget(spec, role, count, is_job=not TRAITS[role].holds_state)
            for role, count in counts.items()
            if TRAITS[role].serves
        ],
    }
    for role, count in counts.items():
        make = _stateful_set if TRAITS[role].holds_state else _job
        files[f"{role.replace('_', '-')}.yaml"] = [make(spec, role, count)]
    return files | tensorboard(spec)


def _host(spec: JobSpec, process_id: ProcessId) -> str:
    """A pod's host name: ROLE-INDEX.SERVICE, for StatefulSets and Indexed Jobs alike."""
    of_role = name(spec, process_id.role)
    return f"{of_role}-{process_id.index}.{of_role}"


def _service(spec: JobSpec, role: Role) -> dict[str, Any]:
    """A headless Service that gives a role's pods DNS names, before they are ready, since each waits for the others."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(spec, name(spec, role)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": pods.labels(spec, role),
            "ports": [{"name": which, "port": port} for which, port in spec.ports(role).items()],
        },
    }


def _stateful_set(spec: JobSpec, role: Role, count: int) -> dict[str, Any]:
    claims = []
    if TRAITS[role].keeps_files:
        claims = [{"metadata": {"name": pods.STORAGE_VOLUME}, "spec": replay_claim(spec)}]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(spec, name(spec, role)),
        "spec": {
            "serviceName": name(spec, role),
            "replicas": count,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": pods.labels(spec, role)},
            "template": pods.template(spec, role, is_of_job=False),
            **({"volumeClaimTemplates": claims} if claims else {}),
        },
    }


def _job(spec: JobSpec, role: Role, count: int) -> dict[str, Any]:
    template = pods.template(spec, role, is_of_job=True)
    if TRAITS[role].serves:
        template["spec"]["subdomain"] = name(spec, role)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(spec, name(spec, role)),
        "spec": indexed_job(template, count, crashes=_CRASHES_OF_ONE),
    }
