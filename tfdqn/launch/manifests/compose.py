"""A job in containers on one host, as a Compose file: each process a service, on a network of their own.

Beside it, on another: TensorBoard, and on request TensorFlow Serving; both only read the run.
"""

from typing import Any

from tfdqn.cluster.program import Process, Program
from tfdqn.cluster.roles import TRAITS, ProcessId, Role
from tfdqn.exporting.tf_serving_files import BATCHING_FILE, MODELS_FILE, batching_config, models_config
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
# Actors are one service, as many as you say: each finds out which it is.
_ACTOR_SERVICE, _PLACES_VOLUME, _PLACES = "actor", "places", "/var/lib/tfdqn-places"
# What the driver compiles for the GPUs, which all share.
_CACHE_VOLUME, _CACHE = "cuda", "/var/lib/tfdqn-cuda"
_SERVING_IMAGE = "tensorflow/serving:2.15.1"  # of the TensorFlow that made the models
_GRPC_PORT, _REST_PORT = 8500, 8501
_SERVING_FILES = {name: f"/etc/tfdqn/{name}" for name in (MODELS_FILE, BATCHING_FILE)}


def render(spec: JobSpec) -> dict[str, str]:
    """compose.yaml and the files that it brings into containers. Raises ConfigError.

    They stand beside it since Compose can't put content of its own into a container whose root is read-only.
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
        # No way in or out of the job's network; what only reads the run is on another.
        "networks": {_NETWORK: {"internal": True}, _VIEW_NETWORK: {}},
        "volumes": {name: {} for name in (_VOLUME, _PLACES_VOLUME, *([_CACHE_VOLUME] if spec.gpus else []))},
    }
    return {
        "compose.yaml": to_yaml(compose),
        "config.toml": spec.config_toml,
        "cluster.json": program.topology.to_json().decode(),
        MODELS_FILE: models_config(spec.name, str(RunDir(RUN_DIR).exports)),
        BATCHING_FILE: batching_config(),
    }


def _services(spec: JobSpec, program: Program) -> dict[str, Any]:
    services = {_STORAGE_SERVICE: _storage(spec)}
    gpu = 0
    for process in program.processes:
        if process.id.role is Role.ACTOR:
            continue
        service = _service(spec, program, process)
        if count := spec.gpus_of(process.id.role):
            devices = [str(gpu + i) for i in range(count)]  # no two processes have one in common
            reserved = {"driver": "nvidia", "device_ids": devices, "capabilities": ["gpu"]}
            service["deploy"] = {"resources": {"reservations": {"devices": [reserved]}}}
            service["environment"] = environment(count, _CACHE)
            service["ulimits"] = {"memlock": -1}  # NCCL locks pages
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
        "shm_size": "1gb",  # environments in processes of their own hand observations over in it
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
    at = words.index("--task")
    words[at : at + 2] = ["--places", _PLACES]
    completed = {_STORAGE_SERVICE: {"condition": "service_completed_successfully"}}
    return service | {
        "command": words,
        "scale": 1 + len(others),
        "depends_on": completed | service["depends_on"],
        "healthcheck": service["healthcheck"] | {"test": ["CMD", "tfdqn", *spec.health_arguments()]},
        "volumes": [f"{_PLACES_VOLUME}:{_PLACES}"],
    }


def _hardened(spec: JobSpec) -> dict[str, Any]:
    return {
        "image": spec.container_image,
        "init": True,  # process 1 is the engine's, which hands on signals and reaps orphans
        "user": f"{USER}:{USER}",
        "read_only": True,
        "tmpfs": ["/tmp:mode=1777"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }


def _storage(spec: JobSpec) -> dict[str, Any]:
    """Gives the volumes, which Docker makes as root's, to the user; then it has done."""
    owned = {_VOLUME: STORAGE, _PLACES_VOLUME: _PLACES} | ({_CACHE_VOLUME: _CACHE} if spec.gpus else {})
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
    """The newest policy that the run has exported; it waits for the first."""
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
    """A service that only reads the run, for people and programs on this host."""
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
