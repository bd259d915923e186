"""The Kubernetes manifests, by Kubernetes' own schemas and rules, and by what the command line makes of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_validate import ValidationError

from tests.support.kustomize import assert_admitted, assert_restricted, assert_schemas_accept, objects_in
from tests.support.rendered_manifests import EVERYBODY, STRATEGIES, below_init, member_of, rendered, topology_in
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.errors import RESTART_STATUS, STOPPED_STATUS
from tfdqn.launch.manifests.platforms import Platform

Object = dict[str, Any]


def objects(*overrides: str, **changes: object) -> list[Object]:
    """Everything that the kustomization names."""
    return objects_in(rendered(Platform.KUBERNETES, *overrides, **changes))


def of_kind(kind: str, every: list[Object]) -> dict[str, Object]:
    """By the component that they are named after."""
    prefix = "cartpole-parameter-server-"
    return {each["metadata"]["name"].removeprefix(prefix): each["spec"] for each in every if each["kind"] == kind}


def controllers(every: list[Object]) -> dict[str, Object]:
    return of_kind("StatefulSet", every) | of_kind("Job", every)


def pods(every: list[Object]) -> Iterator[tuple[str, int, Object]]:
    """Each pod that the controllers make: its host name, its index and its specification."""
    for name, spec in controllers(every).items():
        for index in range(spec.get("replicas", spec.get("completions"))):
            pod = spec["template"]["spec"]
            service = spec.get("serviceName", pod.get("subdomain", ""))
            yield f"cartpole-parameter-server-{name}-{index}.{service}", index, pod


@pytest.mark.parametrize("overrides", STRATEGIES)
@pytest.mark.parametrize("changes", [{}, {"gpus": 2, "has_evaluator": False}])
def test_kubernetes_own_schemas_accept_everything(overrides: tuple[str, ...], changes: dict[str, Any]) -> None:
    every = objects(*overrides, **changes)
    assert_schemas_accept(every)
    (job,) = [each for each in every if each["metadata"]["name"].endswith("-actor")]
    job["spec"]["template"]["spec"]["containers"][0]["restart"] = "Never"
    with pytest.raises(ValidationError):
        assert_schemas_accept([job])


def test_every_process_has_a_pod_whose_name_is_its_address(tmp_path: Path) -> None:
    every = objects()
    (data,) = [each["data"] for each in every if each["kind"] == "ConfigMap"]
    process_ids: dict[ProcessId, str] = {}
    for host, index, pod in pods(every):
        (container,) = pod["containers"]
        # Kubernetes puts variables of the container into its command.
        command = [part.replace("$(INDEX)", str(index)) for part in below_init(container["command"])]
        process_ids[member_of(command, data["config.toml"], data["cluster.json"], tmp_path)] = host
    assert set(process_ids) == EVERYBODY
    topology = topology_in(tmp_path)
    for process_id, host in process_ids.items():
        if process_id.role not in (Role.ACTOR, Role.EVALUATOR):
            assert topology.address(process_id) == f"{host}:2222"
    assert topology.chief == f"{process_ids[ProcessId(Role.LEARNER)]}:2223"


def test_who_ends_by_itself_is_a_job_that_knows_the_exit_statuses() -> None:
    every = objects()
    assert set(of_kind("StatefulSet", every)) == {"replay-server", "parameter-server"}
    jobs = of_kind("Job", every)
    assert set(jobs) == {"learner", "worker", "actor", "evaluator"}
    for job in jobs.values():
        pod = job["template"]["spec"]
        assert (job["completionMode"], job["completions"]) == ("Indexed", job["parallelism"])
        assert pod["restartPolicy"] == "Never"  # a policy on failures needs it
        rules = job["podFailurePolicy"]["rules"]
        actions = {
            status: rule["action"]
            for rule in rules
            if "onExitCodes" in rule
            for status in rule["onExitCodes"]["values"]
            if rule["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
        }
        assert actions == {2: "FailJob", RESTART_STATUS: "Ignore", STOPPED_STATUS: "Ignore"}
        # With 0 it would count as done, and nobody would take its place.
        command = pod["containers"][0]["command"]
        assert command[command.index("--stopped-status") + 1] == str(STOPPED_STATUS)
    index = {
        name: spec["template"]["spec"]["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"]
        for name, spec in controllers(every).items()
    }
    assert index["actor"] == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert index["replay-server"] == "metadata.labels['apps.kubernetes.io/pod-index']"


@pytest.mark.parametrize("overrides", STRATEGIES)
def test_each_selector_finds_its_role_s_pods_alone_and_each_service_its_ports(overrides: tuple[str, ...]) -> None:
    every = objects(*overrides)
    labels = {name: each["template"]["metadata"]["labels"] for name, each in controllers(every).items()}

    def found(selector: dict[str, str]) -> set[str]:
        return {name for name, own in labels.items() if selector.items() <= own.items()}

    services = of_kind("Service", every)
    assert set(services) == set(labels) - {"actor", "evaluator"}
    for name, service in services.items():
        assert found(service["selector"]) == {name}
        assert service["clusterIP"] == "None"
        assert service["publishNotReadyAddresses"] is True  # or nobody could wait for anybody
        served = controllers(every)[name]["template"]["spec"]["containers"][0]["ports"]
        assert {each["port"] for each in service["ports"]} == {each["containerPort"] for each in served}
    for name, spec in of_kind("StatefulSet", every).items():
        assert found(spec["selector"]["matchLabels"]) == {name}
    (policy,) = [each["spec"] for each in every if each["kind"] == "NetworkPolicy"]
    assert found(policy["podSelector"]["matchLabels"]) == set(labels)
    budgets = of_kind("PodDisruptionBudget", every)
    for name, budget in budgets.items():
        assert found(budget["selector"]["matchLabels"]) == {name}
        # Of a Job's pods Kubernetes can only count those that must stay.
        assert ("minAvailable" in budget) is (name in of_kind("Job", every))
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_credentials_go_only_to_those_that_report_and_their_secret_may_be_missing() -> None:
    given = {
        name: source["secretRef"]
        for name, each in controllers(objects()).items()
        for source in each["template"]["spec"]["containers"][0].get("envFrom", [])
    }
    secret = {"name": "cartpole-parameter-server-credentials", "optional": True}
    assert given == {"learner": secret, "evaluator": secret}


def test_the_line_in_which_a_process_says_what_is_wrong_is_its_pod_s_message() -> None:
    every = objects()
    for each in [*controllers(every).values(), *of_kind("Deployment", every).values()]:
        (container,) = each["template"]["spec"]["containers"]
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_pod_security_standard_restricted_is_kept() -> None:
    for _, _, pod in pods(objects(gpus=1)):
        assert_restricted(pod)


def test_what_is_compiled_for_gpus_is_kept_on_a_volume_that_is_no_memory() -> None:
    caches = {}
    for strategy in ("learner.strategy=parameter_server", "learner.strategy=multi_worker"):
        for name, controller in controllers(objects(strategy, gpus=1)).items():
            pod = controller["template"]["spec"]
            (container,), volumes = pod["containers"], {each["name"]: each for each in pod["volumes"]}
            cache = {each["name"]: each.get("value") for each in container["env"]}.get("CUDA_CACHE_PATH")
            assert (cache is not None) is ("nvidia.com/gpu" in container["resources"]["limits"]), name
            if cache is not None:
                (mount,) = (each for each in container["volumeMounts"] if cache.startswith(f"{each['mountPath']}/"))
                caches[strategy, name] = {key: each for key, each in volumes[mount["name"]].items() if key != "name"}
    on_its_own = {"emptyDir": {"sizeLimit": "4Gi"}}
    assert caches["learner.strategy=parameter_server", "worker"] == on_its_own
    assert caches["learner.strategy=multi_worker", "worker"] == on_its_own
    assert "persistentVolumeClaim" in caches["learner.strategy=multi_worker", "learner"]


def test_volumes_are_there_for_every_mount_and_the_run_is_shared() -> None:
    every = objects()
    claims = set(of_kind("PersistentVolumeClaim", every))
    assert claims == {"run"}
    for name, spec in controllers(every).items():
        pod = spec["template"]["spec"]
        templates = {each["metadata"]["name"] for each in spec.get("volumeClaimTemplates", [])}
        mounted = {each["name"] for each in pod["containers"][0]["volumeMounts"]}
        assert mounted == templates | {each["name"] for each in pod["volumes"]}
        shared = {
            each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"] if "persistentVolumeClaim" in each
        }
        assert bool(shared) is (name in ("learner", "evaluator"))
        assert shared <= {"cartpole-parameter-server-run"}
        assert bool(templates) is (name == "replay-server")


def test_probes_ask_for_the_heartbeat_of_the_pod_s_own_process() -> None:
    from typer.main import get_command

    from tfdqn.cli import main

    verb = get_command(main.app).commands["health"]  # type: ignore[attr-defined]
    for host, index, pod in pods(objects()):
        (container,) = pod["containers"]
        for probe in ("startupProbe", "livenessProbe"):
            shell, option, line = container[probe]["exec"]["command"]
            assert (shell, option) == ("sh", "-c")
            command = re.fullmatch(r"exec tfdqn health (.*)", line.replace('"$INDEX"', str(index)))
            assert command is not None
            given = verb.make_context("tfdqn health", command[1].split()).params
            process_id = ProcessId(Role(given["role"]), given["index"])
            assert host.split(".")[0].endswith(process_id.file_stem.replace("_", "-"))


def test_tensorboard_sees_the_run_s_logs_behind_the_job_s_own_policy() -> None:
    every = objects()
    tensorboard = of_kind("Deployment", every)["tensorboard"]
    labels, pod = tensorboard["template"]["metadata"]["labels"], tensorboard["template"]["spec"]
    assert tensorboard["selector"]["matchLabels"] == labels
    (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "storage"]
    assert mount["readOnly"] is True
    (policy,) = [each["spec"] for each in every if each["kind"] == "NetworkPolicy"]
    assert_admitted(policy, controllers(every).values(), labels)
    assert_restricted(pod)
    claims = [
        each["persistentVolumeClaim"]["claimName"]
        for each in pod["volumes"]
        if len(each) == 2 and "persistentVolumeClaim" in each
    ]
    assert claims == ["cartpole-parameter-server-run"]
    assert of_kind("Deployment", objects("logging.tensorboard=false")) == {}


def test_gpus_are_asked_for_by_processes_that_compute_gradients() -> None:
    def asking(*overrides: str) -> set[str]:
        every = controllers(objects(*overrides, gpus=2))
        limits = {
            name: each["template"]["spec"]["containers"][0]["resources"]["limits"] for name, each in every.items()
        }
        return {name for name, limit in limits.items() if limit.get("nvidia.com/gpu") == "2"}

    assert asking() == {"worker"}
    assert asking("learner.strategy=multi_worker") == {"worker", "learner"}
    assert asking("learner.strategy=local") == {"learner"}
