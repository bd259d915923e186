"""The objects of a job on Kubernetes besides its pods: ConfigMap, volume claims, NetworkPolicy, Jobs, TensorBoard."""

import math
from typing import Any

from tfdqn.cluster.roles import TRAITS, Resources, Role
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


def kustomization(resources: list[str], **more: object) -> str:
    """A kustomization.yaml with these files and folders, and `more` fields, such as patches."""
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return to_yaml(kind | {"resources": resources} | more)


def metadata(spec: JobSpec, name: str) -> dict[str, Any]:
    """The metadata of an object that belongs to a job."""
    return {"name": name, "labels": pods.labels(spec)}


def config_map(spec: JobSpec, more: dict[str, str]) -> dict[str, Any]:
    """The files that every container has: the configuration, and `more` by name and content."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(spec, spec.name),
        "data": {"config.toml": spec.config_toml, **more},
    }


def run_claim(spec: JobSpec, *, replay_servers: int = 0) -> dict[str, Any]:
    """The claim for the directory that learner, evaluator and so many replay servers share, even on different nodes."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(spec, pods.run_claim_name(spec)),
        "spec": _claim(spec, "ReadWriteMany", _GI_OF_RUN + replay_servers * _GI_OF_REPLAY_SERVER),
    }


def replay_claim(spec: JobSpec) -> dict[str, Any]:
    """The specification of the claim for a replay server's own volume."""
    return _claim(spec, "ReadWriteOnce", _GI_OF_REPLAY_SERVER)


def _claim(spec: JobSpec, mode: str, gi: int) -> dict[str, Any]:
    return {"accessModes": [mode], "resources": {"requests": {"storage": f"{math.ceil(gi * spec.scale.storage)}Gi"}}}


def network_policy(spec: JobSpec) -> dict[str, Any]:
    """Lets only the job's own pods reach its ports, and of these not TensorBoard's.

    The ports have no authentication: anyone who reaches one can read and change what is learned.
    """
    own = {"matchLabels": pods.labels(spec)}
    taking_part = {"key": pods.COMPONENT, "operator": "NotIn", "values": [_TENSORBOARD]}
    admitted = {"podSelector": {**own, "matchExpressions": [taking_part]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(spec, spec.name),
        "spec": {"podSelector": own, "policyTypes": ["Ingress"], "ingress": [{"from": [admitted]}]},
    }


def budget(spec: JobSpec, role: Role, count: int, *, is_job: bool) -> dict[str, Any]:
    """A PodDisruptionBudget: how many of a role's `count` pods may be evicted at once, by its traits.

    It can only be given as the number that must stay where a Job makes the pods (`is_job`).
    """
    evictable = TRAITS[role].evictable
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(spec, name(spec, role)),
        "spec": {
            **({"minAvailable": count - evictable} if is_job else {"maxUnavailable": evictable}),
            "selector": {"matchLabels": pods.labels(spec, role)},
            # A pod that crashes again and again, or never starts, must not keep its node from being drained.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def name(spec: JobSpec, role: Role) -> str:
    """The name of a role's objects."""
    return f"{spec.name}-{role.replace('_', '-')}"


def indexed_job(template: dict[str, Any], count: int, *, crashes: int) -> dict[str, Any]:
    """The specification of an Indexed Job of `count` pods, which fails after so many crashes of one pod on average."""
    return {
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": count,
        "backoffLimit": crashes * count,
        "podFailurePolicy": pods.failure_policy(),
        "template": template,
    }


def tensorboard(spec: JobSpec) -> dict[str, list[dict[str, Any]]]:
    """A Deployment of TensorBoard, by file name; {} if the run has no logs for it. Its port must be forwarded."""
    if not spec.config.logging.tensorboard:
        return {}
    labels = pods.labels(spec, _TENSORBOARD)
    container = {
        "name": _TENSORBOARD,
        "command": ["tensorboard", *TENSORBOARD_ARGUMENTS],
        "env": pods.variables(),
        "ports": [{"name": "http", "containerPort": TENSORBOARD_PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 10},
        "resources": pods.resources(spec, Resources(1, 2), 0),
        **pods.confined(spec, has_storage=True, only_reads=True),
    }
    pod = pods.specification(spec, container, grace_seconds=READER_GRACE_SECONDS, storage=pods.run_volume(spec))
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(spec, f"{spec.name}-{_TENSORBOARD}"),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return {"tensorboard.yaml": [deployment]}
