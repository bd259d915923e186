"""What runs in a pod of a job on Kubernetes: one container, which may do nothing but its part."""

from typing import Any

from tfdqn.cluster.program import CHIEF_PORT, PORT, run_arguments
from tfdqn.cluster.roles import TRAITS, Resources, Role
from tfdqn.errors import RESTART_STATUS, STOPPED_STATUS
from tfdqn.launch.manifests.job_spec import (
    CLUSTER_FILE,
    COMMAND,
    CONFIG_FILE,
    RUN_DIR,
    STORAGE,
    USER,
    JobSpec,
    environment,
    grace_seconds,
)

COMPONENT = "app.kubernetes.io/component"
STORAGE_VOLUME = "storage"
JOB_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
STATEFUL_SET_INDEX = "metadata.labels['apps.kubernetes.io/pod-index']"
_CONTAINER = "tfdqn"
_GPU = "nvidia.com/gpu"


def labels(spec: JobSpec, component: str = "") -> dict[str, str]:
    """Of everything that belongs to a job, or to a component of it: a role, say."""
    own = {"app.kubernetes.io/name": "tfdqn", "app.kubernetes.io/instance": spec.name}
    return own | {COMPONENT: component.replace("_", "-")} if component else own


def failure_policy() -> dict[str, Any]:
    """What a Job does by a pod's exit status: as the supervisor of one host would; what was stopped comes back."""

    def on_status(action: str, *statuses: int) -> dict[str, Any]:
        codes = {"containerName": _CONTAINER, "operator": "In", "values": list(statuses)}
        return {"action": action, "onExitCodes": codes}

    evicted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {"rules": [on_status("FailJob", 2), on_status("Ignore", RESTART_STATUS, STOPPED_STATUS), evicted]}


def template(
    spec: JobSpec, role: Role, index_path: str, restart: str, *, storage: dict[str, Any] | None
) -> dict[str, Any]:
    """A pod of a role.

    Args:
      index_path: the field of the pod that holds its index.
      restart: "Always", or "Never" where the controller makes another pod instead.
      storage: the volume for the run's directory, if the pod itself names one.
    """
    if spec.gpus_of(role) and not TRAITS[role].keeps_files:
        storage = {"emptyDir": {"sizeLimit": "4Gi"}}  # of the driver's cache alone
    container = _container(spec, role, index_path)
    pod = specification(spec, container, grace_seconds=grace_seconds(role), storage=storage)
    return {"metadata": {"labels": labels(spec, role)}, "spec": {"restartPolicy": restart, **pod}}


def specification(
    spec: JobSpec, container: dict[str, Any], *, grace_seconds: int, storage: dict[str, Any] | None
) -> dict[str, Any]:
    """Of a pod of one container, which may do nothing but its part.

    Args:
      storage: the volume for the run's directory, if there is one.
    """
    volumes: list[dict[str, Any]] = [
        {"name": "configuration", "configMap": {"name": spec.name}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    ]
    if storage is not None:
        volumes.append({"name": STORAGE_VOLUME, **storage})
    has_gpus = _GPU in container["resources"]["limits"]
    return {
        "terminationGracePeriodSeconds": grace_seconds,
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
        # Nodes with GPUs are often kept for those that ask for them.
        **({"tolerations": [{"key": _GPU, "operator": "Exists", "effect": "NoSchedule"}]} if has_gpus else {}),
        "containers": [container],
        "volumes": volumes,
    }


def credentials(spec: JobSpec, *roles: Role) -> dict[str, Any]:
    """Of a container that runs these roles: the Secret of the job's name as variables, where its user has made it."""
    if not any(TRAITS[role].gets_credentials for role in roles):
        return {}
    return {"envFrom": [{"secretRef": {"name": f"{spec.name}-credentials", "optional": True}}]}


def run_claim_name(spec: JobSpec) -> str:
    """Of the claim that holds the run's directory."""
    return f"{spec.name}-run"


def run_volume(spec: JobSpec) -> dict[str, Any]:
    """The run's directory, as a pod's volume."""
    return {"persistentVolumeClaim": {"claimName": run_claim_name(spec)}}


def confined(spec: JobSpec, *, has_storage: bool, only_reads: bool = False) -> dict[str, Any]:
    """What every container has in common."""
    mounts = [
        {"name": "configuration", "mountPath": CONFIG_FILE.rpartition("/")[0], "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "shm", "mountPath": "/dev/shm"},
    ]
    if has_storage:
        mounts.append({"name": STORAGE_VOLUME, "mountPath": STORAGE} | ({"readOnly": True} if only_reads else {}))
    return {
        "image": spec.container_image,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
        # The one line by which a process says what is wrong, in `kubectl describe pod`.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def variables(gpus: int = 0) -> list[dict[str, Any]]:
    """Of the environment of every container."""
    return [{"name": name, "value": value} for name, value in environment(gpus).items()]


def resources(spec: JobSpec, needed: Resources, gpus: int) -> dict[str, Any]:
    """What a container is given: more memory than that ends it, idle processors it may use.

    Args:
      needed: for a small task; the job's scale is by how much more it is.
    """
    millicpus, mib = round(1000 * needed.cpus * spec.scale.cpus), round(1024 * needed.memory_gib * spec.scale.memory)
    memory = f"{mib}Mi" if mib % 1024 else f"{mib // 1024}Gi"
    return {
        "requests": {"cpu": f"{millicpus}m" if millicpus % 1000 else str(millicpus // 1000), "memory": memory},
        "limits": {"memory": memory, **({_GPU: str(gpus)} if gpus else {})},
    }


def _container(spec: JobSpec, role: Role, index_path: str) -> dict[str, Any]:
    arguments = run_arguments(role, "$(TASK)", config_file=CONFIG_FILE, cluster_file=CLUSTER_FILE, run_dir=RUN_DIR)
    gpus = spec.gpus_of(role)
    common = confined(spec, has_storage=TRAITS[role].keeps_files or gpus > 0)
    # Of what was stopped and ends with 0, a Job would say that it is done; a StatefulSet does not ask.
    container: dict[str, Any] = {
        "name": _CONTAINER,
        "image": common.pop("image"),
        "command": [*COMMAND, *arguments, "--stopped-status", str(STOPPED_STATUS)],
        "env": [{"name": "TASK", "valueFrom": {"fieldRef": {"fieldPath": index_path}}}, *variables(gpus)],
        **credentials(spec, role),
        **_probes(spec, role),
        "resources": resources(spec, TRAITS[role].resources, gpus),
        **common,
    }
    if TRAITS[role].serves:
        container["ports"] = [{"name": "job", "containerPort": PORT}]
        if role is Role.LEARNER and spec.has_chief:
            container["ports"].append({"name": "chief", "containerPort": CHIEF_PORT})
    return container


def _probes(spec: JobSpec, role: Role) -> dict[str, Any]:
    """Whether it lives, by its heartbeat. A probe's command knows variables only through a shell."""
    health = " ".join(("tfdqn", *spec.health_arguments(role, '"$TASK"')))
    asked = {"exec": {"command": ["sh", "-c", f"exec {health}"]}, "timeoutSeconds": 5}
    return {
        "startupProbe": {**asked, "periodSeconds": 2, "failureThreshold": 60},
        "livenessProbe": {**asked, "periodSeconds": 10, "failureThreshold": 3},
    }
