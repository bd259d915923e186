"""What runs in a pod of a job on Kubernetes: one container, which may do nothing but its part."""

from typing import Any

from tfdqn.errors import RESTART_STATUS
from tfdqn.manifests.wanted import (
    CLUSTER_FILE,
    CONFIG_FILE,
    ENVIRONMENT,
    GRACE_SECONDS,
    OTHERS_GRACE_SECONDS,
    RESOURCES,
    RUN_DIR,
    STORAGE,
    USER,
    Wanted,
)
from tfdqn.program import CHIEF_PORT, PORT, run_arguments
from tfdqn.topology import Role

STORAGE_VOLUME = "storage"
JOB_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
STATEFUL_SET_INDEX = "metadata.labels['apps.kubernetes.io/pod-index']"
CRASHES_OF_ONE = 20  # after which its Job is given up
_CONTAINER = "tfdqn"


def labels(wanted: Wanted, role: Role | None = None) -> dict[str, str]:
    """Of everything that belongs to a job, or to a role of it."""
    own = {"app.kubernetes.io/name": "tfdqn", "app.kubernetes.io/instance": wanted.name}
    return own if role is None else own | {"app.kubernetes.io/component": role.replace("_", "-")}


def failure_policy() -> dict[str, Any]:
    """What a Job does by a pod's exit status: as the supervisor of one host would."""

    def on_status(status: int, action: str) -> dict[str, Any]:
        codes = {"containerName": _CONTAINER, "operator": "In", "values": [status]}
        return {"action": action, "onExitCodes": codes}

    evicted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {"rules": [on_status(2, "FailJob"), on_status(RESTART_STATUS, "Ignore"), evicted]}


def template(wanted: Wanted, role: Role, index_path: str, restart: str) -> dict[str, Any]:
    """A pod of a role.

    Args:
      index_path: the field of the pod that holds its index.
      restart: "Always", or "Never" where the controller makes another pod instead.
    """
    return {
        "metadata": {"labels": labels(wanted, role)},
        "spec": {
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": GRACE_SECONDS.get(role, OTHERS_GRACE_SECONDS),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(wanted, role, index_path)],
            "volumes": _volumes(wanted, role),
        },
    }


def _container(wanted: Wanted, role: Role, index_path: str) -> dict[str, Any]:
    mounts = [
        {"name": "configuration", "mountPath": CONFIG_FILE.rpartition("/")[0], "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "shm", "mountPath": "/dev/shm"},
    ]
    if role in (Role.LEARNER, Role.EVALUATOR, Role.REPLAY_SERVER):
        mounts.append({"name": STORAGE_VOLUME, "mountPath": STORAGE})
    arguments = run_arguments(
        role, "$(TASK)", config_file=CONFIG_FILE, cluster_file=CLUSTER_FILE, run_dir=RUN_DIR
    )
    container: dict[str, Any] = {
        "name": _CONTAINER,
        "image": wanted.image,
        "command": ["tfdqn", *arguments],
        "env": [
            {"name": "TASK", "valueFrom": {"fieldRef": {"fieldPath": index_path}}},
            *({"name": name, "value": value} for name, value in ENVIRONMENT.items()),
        ],
        **_probes(wanted, role),
        "resources": _resources(wanted, role),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    if role not in (Role.ACTOR, Role.EVALUATOR):
        container["ports"] = [{"name": "job", "containerPort": PORT}]
        if role is Role.LEARNER and wanted.has_chief:
            container["ports"].append({"name": "chief", "containerPort": CHIEF_PORT})
    return container


def _probes(wanted: Wanted, role: Role) -> dict[str, Any]:
    """Whether it lives, by its sign of life. A probe's command knows variables only through a shell."""
    health = " ".join(("tfdqn", *wanted.health_arguments(role, '"$TASK"')))
    asked = {"exec": {"command": ["sh", "-c", f"exec {health}"]}, "timeoutSeconds": 5}
    return {
        "startupProbe": {**asked, "periodSeconds": 2, "failureThreshold": 60},
        "livenessProbe": {**asked, "periodSeconds": 10, "failureThreshold": 3},
    }


def _resources(wanted: Wanted, role: Role) -> dict[str, Any]:
    cpus, gi = RESOURCES[role]
    gpus = {"nvidia.com/gpu": wanted.gpus_of(role)} if wanted.gpus_of(role) else {}
    return {
        "requests": {"cpu": str(cpus), "memory": f"{gi}Gi"},
        "limits": {"memory": f"{gi}Gi", **gpus},
    }


def _volumes(wanted: Wanted, role: Role) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        {"name": "configuration", "configMap": {"name": wanted.name}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    ]
    if role in (Role.LEARNER, Role.EVALUATOR):
        claim = {"claimName": f"{wanted.name}-run"}
        volumes.append({"name": STORAGE_VOLUME, "persistentVolumeClaim": claim})
    return volumes
