"""The pods of a job on Kubernetes: one container each, without privileges that it doesn't need."""

from typing import Any

from tfdqn.cluster.program import run_arguments
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
# The fields of a pod that hold its index.
_JOB_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_STATEFUL_SET_INDEX = "metadata.labels['apps.kubernetes.io/pod-index']"
_CONTAINER = "tfdqn"
_GPU = "nvidia.com/gpu"


def labels(spec: JobSpec, component: str = "") -> dict[str, str]:
    """The labels of everything that belongs to a job, or to one of its components, such as a role."""
    own = {"app.kubernetes.io/name": "tfdqn", "app.kubernetes.io/instance": spec.name}
    return own | {COMPONENT: component.replace("_", "-")} if component else own


def failure_policy() -> dict[str, Any]:
    """A Job's pod failure policy, by exit statuses: what the supervisor of a single host does.

    Status 2 fails the Job. After a status for a restart or a stop, or an eviction, the pod is replaced and no crash is
    counted.
    """

    def on_status(action: str, *statuses: int) -> dict[str, Any]:
        codes = {"containerName": _CONTAINER, "operator": "In", "values": list(statuses)}
        return {"action": action, "onExitCodes": codes}

    evicted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {"rules": [on_status("FailJob", 2), on_status("Ignore", RESTART_STATUS, STOPPED_STATUS), evicted]}


def template(spec: JobSpec, role: Role, *, is_of_job: bool) -> dict[str, Any]:
    """The template of a role's pods, of an Indexed Job or else of a StatefulSet.

    A Job makes another pod instead of one that has ended. A StatefulSet adds the volume of a pod's own, by its claim.
    """
    storage = None
    if TRAITS[role].keeps_files:
        storage = run_volume(spec) if is_of_job else None
    elif spec.gpus_of(role):
        storage = {"emptyDir": {"sizeLimit": "4Gi"}}  # for the driver's cache only
    container = _container(spec, role, _JOB_INDEX if is_of_job else _STATEFUL_SET_INDEX)
    pod = specification(spec, container, grace_seconds=grace_seconds(role), storage=storage)
    restart = "Never" if is_of_job else "Always"
    return {"metadata": {"labels": labels(spec, role)}, "spec": {"restartPolicy": restart, **pod}}


def specification(
    spec: JobSpec, container: dict[str, Any], *, grace_seconds: int, storage: dict[str, Any] | None
) -> dict[str, Any]:
    """The specification of a pod with this container, which mounts `storage` for the run's directory if it has one."""
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
        # Nodes with GPUs are often tainted, so that only pods that need GPUs are scheduled there.
        **({"tolerations": [{"key": _GPU, "operator": "Exists", "effect": "NoSchedule"}]} if has_gpus else {}),
        "containers": [container],
        "volumes": volumes,
    }


def credentials(spec: JobSpec, *roles: Role) -> dict[str, Any]:
    """Gives a container the Secret NAME-credentials, if the user has made one; {} if none of its roles needs any."""
    if not any(TRAITS[role].gets_credentials for role in roles):
        return {}
    return {"envFrom": [{"secretRef": {"name": f"{spec.name}-credentials", "optional": True}}]}


def run_claim_name(spec: JobSpec) -> str:
    """The name of the claim for the run's directory."""
    return f"{spec.name}-run"


def run_volume(spec: JobSpec) -> dict[str, Any]:
    """The run's directory, as a pod's volume."""
    return {"persistentVolumeClaim": {"claimName": run_claim_name(spec)}}


def confined(spec: JobSpec, *, has_storage: bool, only_reads: bool = False) -> dict[str, Any]:
    """The common part of all containers: image, mounts (`has_storage`: of the run's directory), and no privileges."""
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
        # So that `kubectl describe pod` shows the line in which a process says what is wrong.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def variables(gpus: int = 0) -> list[dict[str, Any]]:
    """The environment variables of a container with so many GPUs."""
    return [{"name": name, "value": value} for name, value in environment(gpus).items()]


def resources(spec: JobSpec, needed: Resources, gpus: int) -> dict[str, Any]:
    """A container's resources, of which it needs so much at scale 1.

    Memory is limited to what is requested; idle processors may be used without limit.
    """
    millicpus, mib = round(1000 * needed.cpus * spec.scale.cpus), round(1024 * needed.memory_gib * spec.scale.memory)
    memory = f"{mib}Mi" if mib % 1024 else f"{mib // 1024}Gi"
    return {
        "requests": {"cpu": f"{millicpus}m" if millicpus % 1000 else str(millicpus // 1000), "memory": memory},
        "limits": {"memory": memory, **({_GPU: str(gpus)} if gpus else {})},
    }


def _container(spec: JobSpec, role: Role, index_path: str) -> dict[str, Any]:
    arguments = run_arguments(role, "$(INDEX)", config_file=CONFIG_FILE, cluster_file=CLUSTER_FILE, run_dir=RUN_DIR)
    gpus = spec.gpus_of(role)
    common = confined(spec, has_storage=TRAITS[role].keeps_files or gpus > 0)
    # A status of its own for being stopped, since a Job would take 0 for completion. A StatefulSet ignores statuses.
    container: dict[str, Any] = {
        "name": _CONTAINER,
        "image": common.pop("image"),
        "command": [*COMMAND, *arguments, "--stopped-status", str(STOPPED_STATUS)],
        "env": [{"name": "INDEX", "valueFrom": {"fieldRef": {"fieldPath": index_path}}}, *variables(gpus)],
        **credentials(spec, role),
        **_probes(spec, role),
        "resources": resources(spec, TRAITS[role].resources, gpus),
        **common,
    }
    if ports := spec.ports(role):
        container["ports"] = [{"name": name, "containerPort": port} for name, port in ports.items()]
    return container


def _probes(spec: JobSpec, role: Role) -> dict[str, Any]:
    """Probes that check the heartbeat. Their command runs in a shell, which expands $INDEX."""
    health = " ".join(("tfdqn", *spec.health_arguments(role, '"$INDEX"')))
    asked = {"exec": {"command": ["sh", "-c", f"exec {health}"]}, "timeoutSeconds": 5}
    return {
        "startupProbe": {**asked, "periodSeconds": 2, "failureThreshold": 60},
        "livenessProbe": {**asked, "periodSeconds": 10, "failureThreshold": 3},
    }
