"""A job in containers on one host, as a Compose file: a service for each process, on an internal network.

TensorBoard and, on request, TensorFlow Serving run beside it on another network; both only read the run.
"""

from typing import Any

from tfdqn.cluster.program import Process, Program
from tfdqn.cluster.roles import TRAITS, ProcessId, Role
from tfdqn.exporting.tf_serving_files import BATCHING_CONFIG, BATCHING_FILE, MODELS_FILE, models_config
from tfdqn.launch.manifests.job_spec import (
    CLUSTER_FILE,
    CONFIG_FILE,
    ENVIRONMENT,
    RUN_DIR,
    STORAGE,
    TENSORBOARD_ARGUMENTS,
    TENSORBOARD_PORT,
    USER,
    JobSpec,
    environment,
    grace_seconds,
    to_yaml,
)
from tfdqn.storage.run_directory import RunDir

_STORAGE_SERVICE = "storage"
_AFTER_STORAGE = {_STORAGE_SERVICE: {"condition": "service_completed_successfully"}}
_NETWORK, _VIEW_NETWORK, _VOLUME = "job", "view", "run"
# Actors are one service, which can be scaled: each claims an index by a lock in a volume that all share.
_ACTOR_SERVICE, _LEASES_VOLUME, _LEASES = "actor", "leases", "/var/lib/tfdqn-leases"
# The cache of what the driver compiles for the GPUs; all processes share it.
_CACHE_VOLUME, _CACHE = "cuda", "/var/lib/tfdqn-cuda"
_SERVING_IMAGE = "tensorflow/serving:2.15.1"  # of the TensorFlow version that exports the models
_GRPC_PORT, _REST_PORT = 8500, 8501
_SERVING_FILES = {name: f"/etc/tfdqn/{name}" for name in (MODELS_FILE, BATCHING_FILE)}


def render(spec: JobSpec) -> dict[str, str]:
    """compose.yaml, and the files that it mounts in containers, by name. Raises ConfigError.

    The files are separate because Compose can't write inline content into a container with a read-only root.
    """
    program = spec.program(_service_name)
    compose = {
        "name": spec.name,
        "services": _services(spec, program),
        "configs": {
            "config": {"file": "./config.toml"},
            "cluster": {"file": "./cluster.json"},
            **{name: {"file": f"./{name}"} for name in _SERVING_FILES},
        },
        # No traffic enters or leaves the job's network; services that only read the run are on another.
        "networks": {_NETWORK: {"internal": True}, _VIEW_NETWORK: {}},
        "volumes": {name: {} for name in (_VOLUME, _LEASES_VOLUME, *([_CACHE_VOLUME] if spec.gpus else []))},
    }
    return {
        "compose.yaml": to_yaml(compose),
        "config.toml": spec.config_toml,
        "cluster.json": program.topology.to_json().decode(),
        MODELS_FILE: models_config(spec.name, str(RunDir(RUN_DIR).exports)),
        BATCHING_FILE: BATCHING_CONFIG,
    }


def _services(spec: JobSpec, program: Program) -> dict[str, Any]:
    services = {_STORAGE_SERVICE: _storage(spec)}
    gpu = 0
    for process in program.processes:
        if process.id.role is Role.ACTOR:
            continue
        service = _service(spec, program, process)
        if count := spec.gpus_of(process.id.role):
            devices = [str(gpu + i) for i in range(count)]  # no GPU belongs to two processes
            reserved = {"driver": "nvidia", "device_ids": devices, "capabilities": ["gpu"]}
            service["deploy"] = {"resources": {"reservations": {"devices": [reserved]}}}
            service["environment"] = environment(count, _CACHE)
            service["ulimits"] = {"memlock": -1}  # NCCL locks memory
            service["volumes"] = [*service.get("volumes", ()), f"{_CACHE_VOLUME}:{_CACHE}"]
            service["depends_on"] = {**_AFTER_STORAGE, **service.get("depends_on", {})}
            gpu += count
        services[_service_name(process.id)] = service
    services[_ACTOR_SERVICE] = _actors(spec, program)
    if spec.config.logging.tensorboard:
        services["tensorboard"] = _tensorboard(spec)
    services["serving"] = _serving(spec)
    return services


def _service(spec: JobSpec, program: Program, process: Process) -> dict[str, Any]:
    process_id = process.id
    needed = [other.id for other in program.processes if other.id.role in process.needs]
    depends_on = {_service_name(other): {"condition": "service_healthy"} for other in needed}
    service = {
        **_hardened(spec),
        "entrypoint": ["tfdqn"],
        "command": list(process.arguments),
        "environment": dict(ENVIRONMENT),
        "depends_on": depends_on,
        "networks": [_NETWORK],
        "configs": [{"source": "config", "target": CONFIG_FILE}, {"source": "cluster", "target": CLUSTER_FILE}],
        "healthcheck": {
            "test": ["CMD", "tfdqn", *spec.health_arguments(process_id.role, process_id.index)],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "120s",
            "start_interval": "1s",
        },
        "restart": "on-failure",
        "stop_grace_period": f"{grace_seconds(process_id.role)}s",
        "shm_size": "1gb",  # environments in processes of their own pass observations in shared memory
    }
    if TRAITS[process_id.role].keeps_files:
        service["depends_on"] = {**_AFTER_STORAGE, **depends_on}
        service["volumes"] = [f"{_VOLUME}:{STORAGE}"]
    if not service["depends_on"]:
        del service["depends_on"]
    return service


def _actors(spec: JobSpec, program: Program) -> dict[str, Any]:
    first, *others = [each for each in program.processes if each.id.role is Role.ACTOR]
    service = _service(spec, program, first)
    words = list(first.arguments)
    at = words.index("--index")
    words[at : at + 2] = ["--leases", _LEASES]
    return service | {
        "command": words,
        "scale": 1 + len(others),
        "depends_on": _AFTER_STORAGE | service["depends_on"],
        "healthcheck": service["healthcheck"] | {"test": ["CMD", "tfdqn", *spec.health_arguments()]},
        "volumes": [f"{_LEASES_VOLUME}:{_LEASES}"],
    }


def _hardened(spec: JobSpec) -> dict[str, Any]:
    return {
        "image": spec.container_image,
        "init": True,  # the engine's process 1 forwards signals and reaps orphans
        "user": f"{USER}:{USER}",
        "read_only": True,
        "tmpfs": ["/tmp:mode=1777"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }


def _storage(spec: JobSpec) -> dict[str, Any]:
    """A service that makes the volumes, which Docker creates for root, the user's own, and ends."""
    owned = {_VOLUME: STORAGE, _LEASES_VOLUME: _LEASES} | ({_CACHE_VOLUME: _CACHE} if spec.gpus else {})
    return {
        **_hardened(spec),
        "user": "0:0",
        "cap_add": ["CHOWN"],
        "entrypoint": ["chown"],
        "command": [f"{USER}:{USER}", *owned.values()],
        "network_mode": "none",
        "volumes": [f"{volume}:{path}" for volume, path in owned.items()],
        "restart": "no",
    }


def _tensorboard(spec: JobSpec) -> dict[str, Any]:
    return {
        **_reader(spec, TENSORBOARD_PORT),
        "entrypoint": ["tensorboard"],
        "command": list(TENSORBOARD_ARGUMENTS),
        "environment": dict(ENVIRONMENT),
    }


def _serving(spec: JobSpec) -> dict[str, Any]:
    """TensorFlow Serving of the newest policy that the run has exported; it waits for the first."""
    return {
        **_reader(spec, _REST_PORT, _GRPC_PORT),
        "image": _SERVING_IMAGE,
        "profiles": ["serving"],
        "entrypoint": ["tensorflow_model_server"],
        "command": [
            f"--model_config_file={_SERVING_FILES[MODELS_FILE]}",
            "--enable_batching",
            f"--batching_parameters_file={_SERVING_FILES[BATCHING_FILE]}",
            f"--port={_GRPC_PORT}",
            f"--rest_api_port={_REST_PORT}",
        ],
        "configs": [{"source": name, "target": target} for name, target in _SERVING_FILES.items()],
    }


def _reader(spec: JobSpec, *ports: int) -> dict[str, Any]:
    """The common part of services that only read the run, with ports for people and programs on this host."""
    return {
        **_hardened(spec),
        "depends_on": dict(_AFTER_STORAGE),
        "networks": [_VIEW_NETWORK],
        "ports": [f"127.0.0.1:{port}:{port}" for port in ports],
        "volumes": [f"{_VOLUME}:{STORAGE}:ro"],
        "restart": "unless-stopped",
    }


def _service_name(process_id: ProcessId) -> str:
    return process_id.file_stem.replace("_", "-")
