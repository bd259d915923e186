"""What a job on Kubernetes consists of besides its pods: files, volumes, Jobs, who may reach it, who looks at it."""

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
    """A kustomization.yaml, which names files and folders, and says `more` of what is made of them."""
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return to_yaml(kind | {"resources": resources} | more)


def metadata(spec: JobSpec, name: str) -> dict[str, Any]:
    """Of an object of a job."""
    return {"name": name, "labels": pods.labels(spec)}


def config_map(spec: JobSpec, more: dict[str, str]) -> dict[str, Any]:
    """The files that every container finds; `more` than the configuration: names and contents."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(spec, spec.name),
        "data": {"config.toml": spec.config_toml, **more},
    }


def run_claim(spec: JobSpec, *, replay_servers: int = 0) -> dict[str, Any]:
    """The run's directory, which the learner and the evaluator have in common, be it on two nodes.

    Args:
      replay_servers: that keep what they hold there, too.
    """
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(spec, pods.run_claim_name(spec)),
        "spec": _claim(spec, "ReadWriteMany", _GI_OF_RUN + replay_servers * _GI_OF_REPLAY_SERVER),
    }


def replay_claim(spec: JobSpec) -> dict[str, Any]:
    """What is asked of a replay server's own volume."""
    return _claim(spec, "ReadWriteOnce", _GI_OF_REPLAY_SERVER)


def _claim(spec: JobSpec, mode: str, gi: int) -> dict[str, Any]:
    return {"accessModes": [mode], "resources": {"requests": {"storage": f"{math.ceil(gi * spec.scale.storage)}Gi"}}}


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
        "metadata": metadata(spec, spec.name),
        "spec": {"podSelector": own, "policyTypes": ["Ingress"], "ingress": [{"from": [admitted]}]},
    }


def budget(spec: JobSpec, role: Role, count: int, *, is_job: bool) -> dict[str, Any]:
    """How many may be evicted at once: one replay server; of those that the learner needs to go on, none.

    Args:
      is_job: whether a Job makes the pods: they can be counted in one way only, by how many must stay.
    """
    evictable = TRAITS[role].evictable
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(spec, name(spec, role)),
        "spec": {
            **({"minAvailable": count - evictable} if is_job else {"maxUnavailable": evictable}),
            "selector": {"matchLabels": pods.labels(spec, role)},
            # A pod that crashes over and over, or never starts, keeps no node from being drained.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def name(spec: JobSpec, role: Role) -> str:
    """Of a role's objects."""
    return f"{spec.name}-{role.replace('_', '-')}"


def indexed_job(template: dict[str, Any], count: int, *, crashes: int) -> dict[str, Any]:
    """Of a Job, whose pods have an index each: what it is to do.

    Args:
      template: of its pods.
      crashes: of one pod, after which the Job has failed.
    """
    return {
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": count,
        "backoffLimit": crashes * count,
        "podFailurePolicy": pods.failure_policy(),
        "template": template,
    }


def tensorboard(spec: JobSpec) -> dict[str, list[dict[str, Any]]]:
    """A Deployment that shows the run's logs to those who forward its port, where the run has logs for it."""
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
