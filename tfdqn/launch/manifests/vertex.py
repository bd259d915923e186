"""A job on Vertex AI: the specification of a CustomJob with four pools of machines, in which roles share a supervisor.

The service tells each machine where the others are (`CLUSTER_SPEC`). The first pool is one machine; its end is the
job's.
"""

from typing import Any

from tfdqn.cluster.roles import Role
from tfdqn.errors import ConfigError
from tfdqn.launch.manifests.job_spec import COMMAND, JobSpec, environment, to_yaml
from tfdqn.launch.manifests.pools import Pool, host_arguments, make_pools

# Pools are numbered by their place in the list; one that isn't needed stands there empty.
_ROLES = {
    "workerpool0": (Role.LEARNER, Role.EVALUATOR),
    "workerpool1": (Role.WORKER,),
    "workerpool2": (Role.REPLAY_SERVER, Role.PARAMETER_SERVER),
    "workerpool3": (Role.ACTOR,),
}
_MOUNT = "tfdqn"
_RUN_DIR = f"/mnt/nfs/{_MOUNT}/run"  # where the service mounts it
_CUDA_CACHE = f"/mnt/nfs/{_MOUNT}/cuda"
_CONFIG_FILE = "/tmp/config.toml"
# A file can be brought by a variable alone.
_VARIABLE = "CONFIGURATION"
_BEGINNING = f'printf %s "${_VARIABLE}" >{_CONFIG_FILE} && exec {" ".join(COMMAND)} "$@"'
# n1-standard-N; to no other machines can a T4 be added.
_CPUS_OF_MACHINES, _GIB_OF_CPU = (4, 8, 16, 32, 64, 96), 3.75
_ACCELERATOR = "NVIDIA_TESLA_T4"
_ACCELERATORS = (1, 2, 4)  # that a machine can have: https://cloud.google.com/compute/docs/gpus#t4-gpus
_HEADER = """\
# Replace NETWORK (projects/PROJECT_NUMBER/global/networks/NAME), NFS_SERVER_ADDRESS and
# /NFS_PATH; name an image that the service can pull.
"""


def render(spec: JobSpec) -> dict[str, str]:
    """custom-job.yaml: what `gcloud ai custom-jobs create --config` takes. Raises ConfigError."""
    if spec.gpus not in (0, *_ACCELERATORS):
        allowed = ", ".join(map(str, _ACCELERATORS))
        raise ConfigError(f"--gpus {spec.gpus}: Vertex AI gives a machine {allowed} NVIDIA T4")
    pools = make_pools(spec, _ROLES, is_spread=False)  # there are no small machines
    specifications = {pool.name: _pool(spec, pool, pools) for pool in pools}
    job = {
        "network": "NETWORK",
        "scheduling": {"restartJobOnWorkerRestart": False},  # a lost machine comes back alone
        "workerPoolSpecs": [specifications.get(name, {}) for name in _ROLES],
    }
    return {"custom-job.yaml": _HEADER + to_yaml(job)}


def _pool(spec: JobSpec, pool: Pool, pools: list[Pool]) -> dict[str, Any]:
    # The service would put variables of its own for what looks like $(NAME).
    configuration = spec.config_toml.replace("$(", "$$(")
    variables = environment(pool.gpus, _CUDA_CACHE) | {_VARIABLE: configuration}
    nfs = {"server": "NFS_SERVER_ADDRESS", "path": "/NFS_PATH", "mountPoint": _MOUNT}
    return {
        "replicaCount": pool.size,
        "machineSpec": _machine(pool),
        "containerSpec": {
            "imageUri": spec.container_image,
            "command": ["sh", "-c", _BEGINNING, "tfdqn"],
            "args": list(host_arguments(pools, _CONFIG_FILE, _RUN_DIR)),
            "env": [{"name": name, "value": value} for name, value in variables.items()],
        },
        "nfsMounts": [nfs],  # every machine's: its processes' logs are there, too
    }


def _machine(pool: Pool) -> dict[str, Any]:
    """The smallest that has room."""
    cpus = next(cpus for cpus in _CPUS_OF_MACHINES if cpus >= pool.cpus and cpus * _GIB_OF_CPU >= pool.memory_gib)
    accelerators = {"acceleratorType": _ACCELERATOR, "acceleratorCount": pool.gpus} if pool.gpus else {}
    return {"machineType": f"n1-standard-{cpus}", **accelerators}
