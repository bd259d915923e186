"""A job in pods, as plain Kubernetes manifests: a controller for each role, by what becomes of it at its end.

Replay servers and parameter servers are StatefulSets. Workers have stable names, too, but end by themselves when the
job does: they are an Indexed Job, as the actors are, whose pods are named by their index. A Job knows which exit
statuses mean that a pod is to be made anew.
"""

from typing import Any

from tfdqn.cluster.program import CHIEF_PORT, PORT
from tfdqn.cluster.roles import TRAITS, ProcessId, Role
from tfdqn.launch.manifests import pods
from tfdqn.launch.manifests.job_spec import (
    READER_GRACE_SECONDS,
    TENSORBOARD_ARGUMENTS,
    TENSORBOARD_PORT,
    JobSpec,
    to_yaml,
)

_TENSORBOARD = "tensorboard"
_GI_OF_RUN, _GI_OF_REPLAY_SERVER = 20, 10


def render(spec: JobSpec) -> dict[str, str]:
    """kustomization.yaml and what it names. Raises ConfigError."""
    topology = spec.program(lambda process_id: _host(spec, process_id)).topology
    roles = [role for role in Role if topology.count(role)]
    files = {
        "configuration.yaml": [config_map(spec, {"cluster.json": topology.to_json().decode()})],
        "storage.yaml": [run_claim(spec)],
        "network.yaml": [*(_service(spec, role) for role in roles if TRAITS[role].serves), network_policy(spec)],
        "disruption.yaml": [_budget(spec, role, topology.count(role)) for role in roles if TRAITS[role].serves],
    }
    for role in roles:
        make = _stateful_set if TRAITS[role].holds_state else _job
        files[f"{_dashed(role)}.yaml"] = [make(spec, role, topology.count(role))]
    return kustomized(files | tensorboard(spec))


def kustomized(files: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Files of objects, and kustomization.yaml, which names them."""
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(files)}
    written = {name: to_yaml(*documents) for name, documents in files.items()}
    return {"kustomization.yaml": to_yaml(kustomization), **written}


def _dashed(role: Role) -> str:
    return role.replace("_", "-")


def _name(spec: JobSpec, role: Role) -> str:
    return f"{spec.name}-{_dashed(role)}"


def _host(spec: JobSpec, process_id: ProcessId) -> str:
    """A pod's name and its role's service: both kinds of controller name their pods so."""
    name = _name(spec, process_id.role)
    return f"{name}-{process_id.index}.{name}"


def _metadata(spec: JobSpec, name: str) -> dict[str, Any]:
    return {"name": name, "labels": pods.labels(spec)}


def config_map(spec: JobSpec, more: dict[str, str]) -> dict[str, Any]:
    """The files that every container finds; `more` than the configuration: names and contents."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(spec, spec.name),
        "data": {"config.toml": spec.config_toml, **more},
    }


def run_claim(spec: JobSpec) -> dict[str, Any]:
    """The run's directory, which the learner and the evaluator have in common, be it on two nodes."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(spec, pods.run_claim_name(spec)),
        "spec": _claim("ReadWriteMany", _GI_OF_RUN),
    }


def _claim(mode: str, gi: int) -> dict[str, Any]:
    return {"accessModes": [mode], "resources": {"requests": {"storage": f"{gi}Gi"}}}


def _service(spec: JobSpec, role: Role) -> dict[str, Any]:
    """Names for a role's pods; before they are ready, since each waits for the others."""
    ports = [{"name": "job", "port": PORT}]
    if role is Role.LEARNER and spec.has_chief:
        ports.append({"name": "chief", "port": CHIEF_PORT})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(spec, _name(spec, role)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": pods.labels(spec, role),
            "ports": ports,
        },
    }


def network_policy(spec: JobSpec) -> dict[str, Any]:
    """Anyone who reaches a port can read what is learned, and spoil it: only the job's own pods may, and of these not
    those that only show it.
    """
    own = {"matchLabels": pods.labels(spec)}
    taking_part = {"key": pods.COMPONENT, "operator": "NotIn", "values": [_TENSORBOARD]}
    admitted = {"podSelector": {**own, "matchExpressions": [taking_part]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(spec, spec.name),
        "spec": {"podSelector": own, "policyTypes": ["Ingress"], "ingress": [{"from": [admitted]}]},
    }


def _budget(spec: JobSpec, role: Role, count: int) -> dict[str, Any]:
    """How many may be evicted at once: one replay server; of those that the learner needs to go on, none.

    A Job's pods can be counted in one way only: by how many must stay.
    """
    traits = TRAITS[role]
    limit = {"maxUnavailable": traits.evictable} if traits.holds_state else {"minAvailable": count}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(spec, _name(spec, role)),
        "spec": {**limit, "selector": {"matchLabels": pods.labels(spec, role)}},
    }


def _stateful_set(spec: JobSpec, role: Role, count: int) -> dict[str, Any]:
    claims = []
    if TRAITS[role].keeps_files:
        claims = [{"metadata": {"name": pods.STORAGE_VOLUME}, "spec": _claim("ReadWriteOnce", _GI_OF_REPLAY_SERVER)}]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": _metadata(spec, _name(spec, role)),
        "spec": {
            "serviceName": _name(spec, role),
            "replicas": count,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": pods.labels(spec, role)},
            "template": pods.template(spec, role, pods.STATEFUL_SET_INDEX, "Always"),
            **({"volumeClaimTemplates": claims} if claims else {}),
        },
    }


def _job(spec: JobSpec, role: Role, count: int) -> dict[str, Any]:
    template = pods.template(spec, role, pods.JOB_INDEX, "Never")
    if TRAITS[role].serves:
        template["spec"]["subdomain"] = _name(spec, role)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(spec, _name(spec, role)),
        "spec": {
            "completionMode": "Indexed",
            "completions": count,
            "parallelism": count,
            "backoffLimit": pods.CRASHES_OF_ONE * count,
            "podFailurePolicy": pods.failure_policy(),
            "template": template,
        },
    }


def tensorboard(spec: JobSpec) -> dict[str, list[dict[str, Any]]]:
    """A Deployment that shows the run's logs to those who forward its port, where the run has logs for it."""
    if not spec.config.logging.tensorboard:
        return {}
    name = f"{spec.name}-{_TENSORBOARD}"
    labels = pods.labels(spec, _TENSORBOARD)
    container = {
        "name": _TENSORBOARD,
        "command": ["tensorboard", *TENSORBOARD_ARGUMENTS],
        "env": pods.variables(),
        "ports": [{"name": "http", "containerPort": TENSORBOARD_PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 10},
        "resources": pods.resources(1, 2, 0),
        **pods.confined(spec, has_storage=True, only_reads=True),
    }
    pod = pods.specification(spec, container, grace_seconds=READER_GRACE_SECONDS, storage=pods.run_volume(spec))
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(spec, name),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return {"tensorboard.yaml": [deployment]}
