"""The JobSet, by its interface, Kubernetes' schemas and rules, and by what the command line makes of its pods."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobset import Object, action_of, becomes_of, is_admitted, jobs_of, pods_of
from tests.support.kustomize import assert_admitted, assert_restricted, assert_schemas_accept, objects_in
from tests.support.rendered_manifests import (
    CONFIG,
    EVERYBODY,
    STRATEGIES,
    below_init,
    changed,
    member_of,
    rendered,
    topology_in,
)
from tfdqn.cli import main
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.errors import RESTART_STATUS, STOPPED_STATUS
from tfdqn.launch.manifests.job_spec import dns_label
from tfdqn.launch.manifests.platforms import Platform

NAME = "cartpole-parameter-server"


def objects(*overrides: str, **changes: object) -> list[Object]:
    return objects_in(rendered(Platform.JOBSET, *overrides, **changes))


def of_kind(kind: str, every: list[Object]) -> Object:
    (found,) = [each for each in every if each["kind"] == kind]
    return found


def job_set(*overrides: str, **changes: object) -> Object:
    return of_kind("JobSet", objects(*overrides, **changes))


def by_role(every: Object) -> dict[str, Object]:
    """What each role's Job is to do."""
    return {each["name"]: each["template"]["spec"] for each in every["spec"]["replicatedJobs"]}


@pytest.mark.parametrize("overrides", STRATEGIES)
@pytest.mark.parametrize("changes", [{"queue": "team.gpu-1"}, {"gpus": 2, "has_evaluator": False}])
def test_the_interface_accepts_it_and_kubernetes_own_schemas_its_jobs(
    overrides: tuple[str, ...], changes: dict[str, Any]
) -> None:
    assert is_admitted(job_set(*overrides, **changes))


def test_kubernetes_own_schemas_accept_what_stands_beside_it() -> None:
    assert_schemas_accept(each for each in objects() if each["kind"] != "JobSet")


def test_the_longest_name_is_admitted_with_the_most_processes() -> None:
    most = ("acting.actors=1024", "learner.parameter_servers=256")
    assert is_admitted(job_set(*most, name=dns_label("x" * 100)))


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), "sepc", {}),
        (("spec",), "replicatedJob", []),
        (("spec", "network"), "subDomain", "x"),
        (("spec", "network"), "subdomain", "Job_Set"),
        (("spec", "network"), "enableDNSHostnames", "true"),
        (("spec", "successPolicy"), "operator", "Some"),
        (("spec", "successPolicy"), "targetReplicatedJobs", ["leader"]),
        (("spec", "failurePolicy"), "restartStrategy", "Replace"),
        (("spec", "failurePolicy", "rules", 0), "onJobFailureReasons", ["ExitCode"]),
        (("spec", "failurePolicy", "rules", 0), "name", "a mistake"),
        (("spec", "failurePolicy", "rules", 0), "targetReplicatedJobs", ["leader"]),
        (("spec", "replicatedJobs", 0), "replicas", -1),
        (("spec", "replicatedJobs", 0), "name", "x" * 40),
        (("spec", "replicatedJobs", 0), "name", "learner"),
        (("spec", "replicatedJobs", 0, "template", "spec"), "completion", 1),
        (("spec", "replicatedJobs", 0, "template", "spec", "template", "spec"), "securitycontext", {}),
    ],
)
def test_what_the_interface_does_not_know_is_found(path: tuple[str | int, ...], key: str, value: object) -> None:
    assert not is_admitted(changed(job_set(), path, key, value))


def test_every_process_has_a_pod_whose_name_is_its_address(tmp_path: Path) -> None:
    every = objects()
    data = of_kind("ConfigMap", every)["data"]
    hosts: dict[ProcessId, str] = {}
    for host, index, pod in pods_of(of_kind("JobSet", every)):
        (container,) = pod["containers"]
        command = [part.replace("$(INDEX)", str(index)) for part in below_init(container["command"])]
        hosts[member_of(command, data["config.toml"], data["cluster.json"], tmp_path)] = host
        field = container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"]
        assert field == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert set(hosts) == EVERYBODY
    assert hosts[ProcessId(Role.WORKER, 1)] == f"{NAME}-worker-0-1.{NAME}"
    topology = topology_in(tmp_path)
    for process_id, host in hosts.items():
        if process_id.role not in (Role.ACTOR, Role.EVALUATOR):
            assert topology.address(process_id) == f"{host}:2222"
    assert topology.chief == f"{hosts[LEARNER]}:2223"
    network = of_kind("JobSet", every)["spec"]["network"]
    # Each waits for the others before it is ready.
    assert network["enableDNSHostnames"] is network["publishNotReadyAddresses"] is True


def test_the_learner_s_good_end_is_the_job_s() -> None:
    policy = {"operator": "All", "targetReplicatedJobs": ["learner"]}
    assert job_set()["spec"]["successPolicy"] == policy
    (learner,) = [each for each in jobs_of(job_set()) if each["metadata"]["name"] == f"{NAME}-learner-0"]
    assert learner["spec"]["completions"] == 1


@pytest.mark.parametrize("overrides", STRATEGIES)
def test_each_exit_status_has_the_effect_that_the_table_gives_it(overrides: tuple[str, ...]) -> None:
    every = job_set(*overrides)
    for role, job in by_role(every).items():
        effects = {status: becomes_of(every, role, status) for status in range(1, 256)}
        assert {status for status, effect in effects.items() if effect == "FailJobSet"} == {2}
        again = {status for status, effect in effects.items() if effect == "another pod"}
        assert again == {RESTART_STATUS, STOPPED_STATUS}
        assert set(effects.values()) == {"FailJobSet", "another pod", "counted"}
        assert becomes_of(every, role, "DisruptionTarget") == "another pod"
        assert action_of(every, role, "BackoffLimitExceeded") == "RestartJobSet"
        pod = job["template"]["spec"]
        assert pod["restartPolicy"] == "Never"  # a policy on failures needs it
        command = pod["containers"][0]["command"]
        assert command[command.index("--stopped-status") + 1] == str(STOPPED_STATUS)
        # Five crashes of each pod, in the first attempt and in three more, before all is given up.
        assert job["backoffLimit"] == 5 * job["completions"]
    policy = every["spec"]["failurePolicy"]
    assert (policy["maxRestarts"], policy["restartStrategy"]) == (3, "BlockingRecreate")


def test_pods_are_restricted_and_reached_by_their_own_alone() -> None:
    every = objects(gpus=1)
    reader = of_kind("Deployment", every)["spec"]["template"]["metadata"]["labels"]
    jobs = by_role(of_kind("JobSet", every))
    assert_admitted(of_kind("NetworkPolicy", every)["spec"], jobs.values(), reader)
    for job in jobs.values():
        assert_restricted(job["template"]["spec"])
    budgets = [each["spec"] for each in every if each["kind"] == "PodDisruptionBudget"]
    found = {}
    for budget in budgets:
        selector = budget["selector"]["matchLabels"].items()
        (role,) = [role for role, job in jobs.items() if selector <= job["template"]["metadata"]["labels"].items()]
        found[role] = budget["minAvailable"]
    assert found == {"learner": 1, "worker": 2, "parameter-server": 1, "replay-server": 1}


@pytest.mark.parametrize(("shards", "size"), [(2, "40Gi"), (5, "70Gi")])
def test_all_that_keep_files_share_the_run_s_volume_which_has_room_for_them(shards: int, size: str) -> None:
    every = objects(f"replay.shards={shards}")
    run = of_kind("PersistentVolumeClaim", every)
    assert run["spec"] == {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": size}}}
    keeping = set()
    for role, job in by_role(of_kind("JobSet", every)).items():
        pod = job["template"]["spec"]
        assert {each["name"] for each in pod["containers"][0]["volumeMounts"]} == {
            each["name"] for each in pod["volumes"]
        }
        claims = [
            each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"] if "persistentVolumeClaim" in each
        ]
        assert claims in ([], [run["metadata"]["name"]])
        keeping |= {role} if claims else set()
    assert keeping == {"learner", "evaluator", "replay-server"}


def test_each_pod_is_as_on_plain_kubernetes_but_for_where_it_is_and_what_it_keeps() -> None:
    def pods(every: list[Object]) -> dict[str, Object]:
        found = {}
        for each in every:
            if each["kind"] in ("Job", "StatefulSet"):
                found[each["metadata"]["name"].removeprefix(f"{NAME}-")] = each["spec"]["template"]
        return found

    plain = pods(objects_in(rendered(Platform.KUBERNETES, gpus=1)))
    for role, job in by_role(job_set(gpus=1)).items():
        mine, theirs = copy.deepcopy(job["template"]), plain[role]
        theirs["spec"].pop("subdomain", None)
        if role in ("replay-server", "parameter-server"):
            for each in (mine, theirs):
                del each["spec"]["restartPolicy"], each["spec"]["containers"][0]["env"][0]
            mine["spec"]["volumes"] = [each for each in mine["spec"]["volumes"] if each["name"] != "storage"]
        assert mine == theirs, role


def test_a_queue_admits_it_as_a_whole() -> None:
    queued = job_set(queue="team-a")
    assert queued["spec"]["suspend"] is True  # until Kueue lets it begin
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    del queued["spec"]["suspend"], queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]
    assert queued == job_set()
    assert len(queued["spec"]["replicatedJobs"]) <= 8  # pod sets of a Workload of Kueue's


@pytest.mark.parametrize(
    ("target", "queue", "line"),
    [
        ("jobset", "Team_A", 'tfdqn: --queue "Team_A": a queue has a name of at most 63 lower-case letters, digits'),
        ("jobset", "a" * 64, f'tfdqn: --queue "{"a" * 64}": a queue has a name of at most 63 '),
        ("kubernetes", "team", "tfdqn: --queue team: Kueue can admit a whole job only if it is a JobSet: use "),
    ],
)
def test_what_can_t_be_queued_is_one_line(
    target: str, queue: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["manifest", target, str(CONFIG), "--queue", queue, "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(line) and said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
