"""A job as Kubeflow's TFJob on Kubernetes: four kinds of pods, in each of which roles share a supervisor.

TFJob belongs to Training Operator 1, which Kubeflow calls legacy:
https://www.kubeflow.org/docs/components/trainer/legacy-v1. The operator gives each pod the addresses of the others in
`TF_CONFIG`. The job has succeeded when the chief ends with status 0. A pod that ends with a status above 127 is
replaced; with any other status except 0, the job has failed.
"""

from typing import Any

from tfdqn.cluster.program import PORT
from tfdqn.cluster.roles import Resources, Role, process_counts
from tfdqn.launch.manifests import pods
from tfdqn.launch.manifests.job_spec import COMMAND, JobSpec, to_yaml
from tfdqn.launch.manifests.kubernetes_objects import config_map, kustomization, network_policy, run_claim, tensorboard
from tfdqn.launch.manifests.pools import Pool, host_arguments, make_pools

# The roles of each kind of pod, by its name in `TF_CONFIG`; below, the kind's name in the object.
_ROLES = {
    "chief": (Role.LEARNER,),
    "ps": (Role.REPLAY_SERVER, Role.PARAMETER_SERVER),
    "worker": (Role.WORKER, Role.ACTOR),
    "evaluator": (Role.EVALUATOR,),
}
_KINDS = {"chief": "Chief", "ps": "PS", "worker": "Worker", "evaluator": "Evaluator"}
# The names by which the operator finds the container that gets `TF_CONFIG`, and the port in it.
_CONTAINER, _PORT_NAME = "tensorflow", "tfjob-port"


def render(spec: JobSpec) -> dict[str, str]:
    """kustomization.yaml and the files that it names. Raises ConfigError."""
    pools = make_pools(spec, _ROLES, is_spread=True)
    files = {
        "configuration.yaml": [config_map(spec, {})],
        "storage.yaml": [run_claim(spec, replay_servers=process_counts(spec.config)[Role.REPLAY_SERVER])],
        "network.yaml": [network_policy(spec)],
        "tfjob.yaml": [_job(spec, pools)],
        **tensorboard(spec),
    }
    written = {name: to_yaml(*documents) for name, documents in files.items()}
    return {"kustomization.yaml": kustomization(list(files)), **written}


def _job(spec: JobSpec, pools: list[Pool]) -> dict[str, Any]:
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": spec.name, "labels": pods.labels(spec)},
        "spec": {
            "runPolicy": {"cleanPodPolicy": "Running"},  # pods still running when the chief has ended are deleted
            "tfReplicaSpecs": {_KINDS[pool.name]: _replicas(spec, pool, pools) for pool in pools},
        },
    }


def _replicas(spec: JobSpec, pool: Pool, pools: list[Pool]) -> dict[str, Any]:
    common = pods.confined(spec, has_storage=True)
    container = {
        "name": _CONTAINER,
        "image": common.pop("image"),
        "command": [*COMMAND, *host_arguments(pools)],
        "env": pods.variables(pool.gpus),
        **pods.credentials(spec, *pool.roles),
        "ports": [{"name": _PORT_NAME, "containerPort": PORT}],
        "resources": pods.resources(spec, Resources(pool.cpus, pool.memory_gib), pool.gpus),
        **common,
    }
    pod = pods.specification(
        spec,
        container,
        grace_seconds=pool.grace_seconds,
        storage=pods.run_volume(spec) if pool.keeps else {"emptyDir": {"sizeLimit": "4Gi" if pool.gpus else "1Gi"}},
    )
    return {
        "replicas": pool.size,
        "restartPolicy": "ExitCode",
        "template": {
            "metadata": {
                "labels": pods.labels(spec, pool.name),
                # A sidecar would not end with the job, and would keep pods from calling each other by address.
                "annotations": {"sidecar.istio.io/inject": "false"},
            },
            "spec": pod,
        },
    }
