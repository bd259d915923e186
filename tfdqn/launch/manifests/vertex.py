"""A job on Vertex AI: the specification of a CustomJob with four pools of machines, in which roles share a supervisor.

The service gives each machine the addresses of the others in `CLUSTER_SPEC`. The first pool is a single machine; the
job ends when it does.
"""

from typing import Any

from tfdqn.cluster.roles import Role
from tfdqn.errors import ConfigError
from tfdqn.launch.manifests.job_spec import COMMAND, JobSpec, environment, to_yaml
from tfdqn.launch.manifests.pools import Pool, host_arguments, make_pools

# The roles of each pool. Pools are numbered by their position in the list, where an unneeded one is an empty entry.
_ROLES = {
    "workerpool0": (Role.LEARNER, Role.EVALUATOR),
    "workerpool1": (Role.WORKER,),
    "workerpool2": (Role.REPLAY_SERVER, Role.PARAMETER_SERVER),
    "workerpool3": (Role.ACTOR,),
}
_MOUNT = "tfdqn"
_RUNS = f"/mnt/nfs/{_MOUNT}/runs"  # the service mounts NFS at /mnt/nfs
_CUDA_CACHE = f"/mnt/nfs/{_MOUNT}/cuda"
_CONFIG_FILE = "/tmp/config.toml"
_VARIABLE = "CONFIGURATION"  # holds the configuration, since a file can't be given to a container
_BEGINNING = f'printf %s "${_VARIABLE}" >{_CONFIG_FILE} && exec {" ".join(COMMAND)} "$@"'
# n1-standard-N, the machines to which T4s can be added.
_CPUS_OF_MACHINES, _GIB_OF_CPU = (4, 8, 16, 32, 64, 96), 3.75
_ACCELERATOR = "NVIDIA_TESLA_T4"
_ACCELERATORS = (1, 2, 4)  # how many a machine can have: https://cloud.google.com/compute/docs/gpus#t4-gpus
_HEADER = """\
# Replace NETWORK (projects/PROJECT_NUMBER/global/networks/NAME), NFS_SERVER_ADDRESS and
# /NFS_PATH; name an image that the service can pull.
"""


def render(spec: JobSpec) -> dict[str, str]:
    """custom-job.yaml, for `gcloud ai custom-jobs create --config`. Raises ConfigError."""
    if spec.gpus not in (0, *_ACCELERATORS):
        allowed = ", ".join(map(str, _ACCELERATORS))
        raise ConfigError(f"--gpus {spec.gpus}: on Vertex AI a machine can have {allowed} NVIDIA T4")
    pools = make_pools(spec, _ROLES, is_spread=False)  # few machines, since there are no small ones
    specifications = {pool.name: _pool(spec, pool, pools) for pool in pools}
    job = {
        "network": "NETWORK",
        "scheduling": {"restartJobOnWorkerRestart": False},  # only a lost machine is replaced, not all of them
        "workerPoolSpecs": [specifications.get(name, {}) for name in _ROLES],
    }
    return {"custom-job.yaml": _HEADER + to_yaml(job)}


def _pool(spec: JobSpec, pool: Pool, pools: list[Pool]) -> dict[str, Any]:
    # The service would expand $(NAME).
    configuration = spec.config_toml.replace("$(", "$$(")
    variables = environment(pool.gpus, _CUDA_CACHE) | {_VARIABLE: configuration}
    nfs = {"server": "NFS_SERVER_ADDRESS", "path": "/NFS_PATH", "mountPoint": _MOUNT}
    return {
        "replicaCount": pool.size,
        "machineSpec": _machine(pool),
        "containerSpec": {
            "imageUri": spec.container_image,
            "command": ["sh", "-c", _BEGINNING, "tfdqn"],
            "args": list(host_arguments(pools, _CONFIG_FILE, f"{_RUNS}/{spec.name}")),
            "env": [{"name": name, "value": value} for name, value in variables.items()],
        },
        "nfsMounts": [nfs],  # on every machine, since its processes' logs are there
    }


def _machine(pool: Pool) -> dict[str, Any]:
    """The smallest machine that has the processors and the memory."""
    cpus = next(cpus for cpus in _CPUS_OF_MACHINES if cpus >= pool.cpus and cpus * _GIB_OF_CPU >= pool.memory_gib)
    accelerators = {"acceleratorType": _ACCELERATOR, "acceleratorCount": pool.gpus} if pool.gpus else {}
    return {"machineType": f"n1-standard-{cpus}", **accelerators}
