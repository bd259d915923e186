"""The TFJob, by Kubeflow's own models of it, Kubernetes' schemas, and what each pod makes of the operator's word."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubeflow.training.api_client import ApiClient

from tests.support.kustomize import (
    Object,
    assert_admitted,
    assert_kubectl_builds,
    assert_restricted,
    assert_schemas_accept,
    needs_kubectl,
    objects_in,
)
from tests.support.rendered_manifests import EVERYBODY, STRATEGIES, below_init, changed, rendered, share_of, tf_config
from tfdqn.cluster.roles import LEARNER, Role
from tfdqn.launch.manifests.platforms import Platform


def objects(*overrides: str, **changes: object) -> dict[str, Object]:
    every = objects_in(rendered(Platform.TFJOB, *overrides, **changes))
    return {each["kind"]: each for each in every}


def replicas(every: dict[str, Object]) -> dict[str, Object]:
    return every["TFJob"]["spec"]["tfReplicaSpecs"]


def is_kubeflow_s(job: Object) -> bool:
    """Whether Kubeflow's models hold all that there is, as it is: what they don't know or of another type is lost."""
    client = ApiClient()
    try:
        read = client.deserialize(SimpleNamespace(data=json.dumps(job)), "KubeflowOrgV1TFJob")
    except (ValueError, TypeError, AttributeError):
        return False
    return client.sanitize_for_serialization(read) == job


@pytest.mark.parametrize("overrides", STRATEGIES)
@pytest.mark.parametrize("changes", [{}, {"gpus": 2, "has_evaluator": False}])
def test_kubeflow_s_models_and_kubernetes_own_schemas_accept_everything(
    overrides: tuple[str, ...], changes: dict[str, Any]
) -> None:
    every = objects(*overrides, **changes)
    assert is_kubeflow_s(every["TFJob"])
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            **each["template"],
            "metadata": {**each["template"]["metadata"], "name": kind.lower()},
        }
        for kind, each in replicas(every).items()
    ]
    assert_schemas_accept([*pods, *(each for kind, each in every.items() if kind != "TFJob")])


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), "sepc", {}),
        (("spec",), "tfReplicaSpec", {}),
        (("spec", "runPolicy"), "cleanPodsPolicy", "Running"),
        (("spec", "tfReplicaSpecs", "PS"), "replica", 1),
        (("spec", "tfReplicaSpecs", "PS"), "replicas", "two"),
        (("spec", "tfReplicaSpecs", "PS", "template", "spec"), "securitycontext", {}),
    ],
)
def test_what_kubeflow_does_not_know_is_found(path: tuple[str, ...], key: str, value: object) -> None:
    assert not is_kubeflow_s(changed(objects()["TFJob"], path, key, value))


def test_every_pod_runs_its_share_and_all_are_there_once(tmp_path: Path) -> None:
    every = objects()
    everybody = []
    for kind, replica in replicas(every).items():
        for index in range(replica["replicas"]):
            share = share_of(
                below_init(replica["template"]["spec"]["containers"][0]["command"]),
                every["ConfigMap"]["data"]["config.toml"],
                {"TF_CONFIG": tf_config(every, kind, index, "cartpole-parameter-server")},
                tmp_path,
            )
            everybody += [process.id for process in share.processes]
            host = f"cartpole-parameter-server-{kind.lower()}-{index}.team.svc:"
            serving = [each.id for each in share.processes if each.id.role not in (Role.ACTOR, Role.EVALUATOR)]
            assert all(share.topology.address(process_id).startswith(host) for process_id in serving)
    assert len(everybody) == len(EVERYBODY)
    assert set(everybody) == EVERYBODY
    assert share.topology.address(LEARNER) == "cartpole-parameter-server-chief-0.team.svc:2222"
    assert share.topology.chief == "cartpole-parameter-server-chief-0.team.svc:2223"


def test_the_operator_decides_by_exit_statuses_and_the_chief_s_end_is_the_job_s() -> None:
    every = objects()
    assert replicas(every)["Chief"]["replicas"] == 1
    for replica in replicas(every).values():
        assert replica["restartPolicy"] == "ExitCode"
        assert "restartPolicy" not in replica["template"]["spec"]  # the operator's to set
    assert every["TFJob"]["spec"]["runPolicy"] == {"cleanPodPolicy": "Running"}


def test_pods_are_restricted_reached_by_their_own_alone_and_share_the_run() -> None:
    every = objects(gpus=1)
    reader = every["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert_admitted(every["NetworkPolicy"]["spec"], replicas(every).values(), reader)
    for kind, replica in replicas(every).items():
        pod = replica["template"]["spec"]
        assert_restricted(pod)
        mounted = {each["name"] for each in pod["containers"][0]["volumeMounts"]}
        volumes = {each["name"]: each for each in pod["volumes"]}
        assert mounted == set(volumes)
        assert ("persistentVolumeClaim" in volumes["storage"]) is (kind != "Worker")
        assert ("envFrom" in pod["containers"][0]) is (kind in ("Chief", "Evaluator"))
    claims = {
        each["persistentVolumeClaim"]["claimName"]
        for replica in replicas(every).values()
        for each in replica["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in each
    }
    assert claims == {every["PersistentVolumeClaim"]["metadata"]["name"]}
    assert every["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize(
    ("overrides", "changes", "sizes", "worker"),
    [
        ((), {}, {"Chief": 1, "PS": 1, "Worker": 2, "Evaluator": 1}, {"cpu": "4", "memory": "8Gi"}),
        # Of two workers and a hundred actors no machine needs more than 16 processors, or so.
        (("acting.actors=100",), {}, {"Chief": 1, "PS": 1, "Worker": 7, "Evaluator": 1}, {"cpu": "17"}),
        (("learner.workers=5",), {}, {"Chief": 1, "PS": 1, "Worker": 4, "Evaluator": 1}, {"cpu": "5"}),
        # No machine has GPUs that nobody uses.
        (("acting.actors=100",), {"gpus": 2}, {"Chief": 1, "PS": 1, "Worker": 2, "Evaluator": 1}, {"cpu": "52"}),
        (
            ("learner.strategy=local",),
            {"has_evaluator": False, "gpus": 1},
            {"Chief": 1, "PS": 2, "Worker": 4},
            {"cpu": "1"},
        ),
    ],
)
def test_a_pool_has_as_many_pods_as_its_rarest_role_and_each_has_room_for_the_fullest(
    overrides: tuple[str, ...], changes: dict[str, Any], sizes: dict[str, int], worker: dict[str, str]
) -> None:
    found = replicas(objects(*overrides, **changes))
    assert {kind: replica["replicas"] for kind, replica in found.items()} == sizes
    resources = {kind: each["template"]["spec"]["containers"][0]["resources"] for kind, each in found.items()}
    assert resources["Worker"]["requests"].items() >= worker.items()
    computing = {"Chief"} if "learner.strategy=local" in overrides else {"Worker"}
    gpus = {kind: each["limits"].get("nvidia.com/gpu") for kind, each in resources.items()}
    assert {kind: count for kind, count in gpus.items() if count} == (
        {kind: str(changes["gpus"]) for kind in computing} if "gpus" in changes else {}
    )


@needs_kubectl
def test_kubectl_builds_the_kustomization(tmp_path: Path) -> None:
    assert_kubectl_builds(rendered(Platform.TFJOB), tmp_path)
