"""Who is on which machine, from what Kubeflow and Vertex AI say of the machines and what the job says of the roles."""

import json
from typing import Any

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.cluster.checks import check_topology
from tfdqn.cluster.environment import machines_of_environment
from tfdqn.cluster.placement import Machine, Machines, place, pool_warnings, read_pools, topology_on_machines
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.system.addresses import host_and_port

POOLS = (*("chief=learner", "ps=parameter_server,replay_server"), *("worker=worker,actor", "evaluator=evaluator"))
# As Kubeflow's operator sets it: the evaluator is not among the machines.
KUBEFLOW = {
    "chief": ["job-chief-0.team.svc:2222"],
    "ps": ["job-ps-0.team.svc:2222", "job-ps-1.team.svc:2222"],
    "worker": ["job-worker-0.team.svc:2222", "job-worker-1.team.svc:2222"],
}
VERTEX = {
    "workerpool0": ["cmle-training-workerpool0-ab-0:2222"],
    "workerpool1": ["cmle-training-workerpool1-ab-0:2222"],
    "workerpool2": ["cmle-training-workerpool2-ab-0:2222"],
    "workerpool3": ["cmle-training-workerpool3-ab-0:2222", "cmle-training-workerpool3-ab-1:2222"],
}


def variable(name: str, cluster: object, pool: str, index: object = 0) -> dict[str, str]:
    task = {"type": pool, "index": index, "trial": ""}
    return {name: json.dumps({"cluster": cluster, "environment": "cloud", "task": task})}


def config(*overrides: str) -> Config:
    return tiny(
        *("learner.strategy=parameter_server", "learner.workers=2", "acting.actors=3", "replay.shards=2"), *overrides
    )


def topology(config: Config, machines: Machines, pools: tuple[str, ...]) -> Topology:
    read = read_pools(pools)
    found = topology_on_machines(config, place(config, read, machines.sizes(read)), machines)
    check_topology(config, found)
    return found


def test_a_pool_s_processes_are_dealt_to_its_machines_role_by_role() -> None:
    machines = machines_of_environment(variable("TF_CONFIG", KUBEFLOW, "ps", 1))
    assert machines.this == Machine("ps", 1)
    pools = read_pools(POOLS)
    placed = place(config(), pools, machines.sizes(pools))
    assert {str(machine): [each.file_stem for each in process_ids] for machine, process_ids in placed.items()} == {
        "chief-0": ["learner-0"],
        "ps-0": ["parameter_server-0", "replay_server-0"],
        "ps-1": ["replay_server-1"],
        "worker-0": ["worker-0", "actor-0", "actor-2"],
        "worker-1": ["worker-1", "actor-1"],
        "evaluator-0": ["evaluator-0"],
    }


def test_who_serves_has_the_machine_s_port_and_the_following_ones_and_every_machine_finds_the_same() -> None:
    expected = Topology(
        learner="job-chief-0.team.svc:2222",
        chief="job-chief-0.team.svc:2223",
        replay_server=("job-ps-0.team.svc:2223", "job-ps-1.team.svc:2222"),
        parameter_server=("job-ps-0.team.svc:2222",),
        worker=("job-worker-0.team.svc:2222", "job-worker-1.team.svc:2222"),
        actor=3,
        evaluator=1,
    )
    for pool, index in (("chief", 0), ("ps", 1), ("worker", 1), ("evaluator", 0)):
        machines = machines_of_environment(variable("TF_CONFIG", KUBEFLOW, pool, index))
        assert topology(config(), machines, POOLS) == expected


def test_two_machines_of_one_address_are_refused_also_where_nobody_calls_on_them() -> None:
    twice = {**VERTEX, "workerpool3": ["m:2222", "m:2222"]}
    with pytest.raises(ConfigError) as caught:
        machines_of_environment(variable("CLUSTER_SPEC", twice, "workerpool3"))
    assert str(caught.value) == (
        "environment variable CLUSTER_SPEC: workerpool3-0 and workerpool3-1 have the same address: m:2222"
    )


def test_an_ipv6_address_keeps_its_brackets() -> None:
    machines = machines_of_environment(variable("TF_CONFIG", {**KUBEFLOW, "chief": ["[fd00::1]:2222"]}, "chief"))
    found = topology(config(), machines, POOLS)
    assert (found.learner, found.chief) == ("[fd00::1]:2222", "[fd00::1]:2223")


def test_on_vertex_ai_its_own_variable_counts_and_the_roles_are_where_the_job_says() -> None:
    environment = {
        **variable("TF_CONFIG", {"chief": VERTEX["workerpool0"]}, "chief"),
        **variable("CLUSTER_SPEC", VERTEX, "workerpool3", "1"),
    }
    machines = machines_of_environment(environment)
    assert machines.this == Machine("workerpool3", 1)
    pools = (
        "workerpool0=learner,evaluator",
        "workerpool1=worker",
        "workerpool2=replay_server,parameter_server",
        "workerpool3=actor",
    )
    found = topology(config(), machines, pools)
    assert (found.learner, found.chief) == tuple(f"{VERTEX['workerpool0'][0][:-4]}{port}" for port in (2222, 2223))
    host = host_and_port(VERTEX["workerpool2"][0])[0]
    assert found.replay_server == (f"{host}:2222", f"{host}:2223")
    assert found.parameter_server == (f"{host}:2224",)
    assert found.worker[1] == f"{VERTEX['workerpool1'][0][:-4]}2223"


def test_where_nobody_learns_with_the_learner_it_has_one_address_and_pools_may_hold_nobody() -> None:
    machines = machines_of_environment(variable("TF_CONFIG", KUBEFLOW, "chief"))
    local = tiny("acting.actors=2", "replay.shards=2")
    without_evaluator = tuple(each for each in POOLS if "evaluator" not in each)
    found = topology(local, machines, without_evaluator)
    assert (found.chief, found.worker, found.evaluator) == ("", (), 0)
    placed = place(local, read_pools(without_evaluator), {"chief": 1, "ps": 1, "worker": 3})
    assert placed[Machine("worker", 2)] == ()
    assert placed[Machine("chief", 0)] == (LEARNER,)
    assert placed[Machine("worker", 1)] == (ProcessId(Role.ACTOR, 1),)


NOT_LISTED = "environment variable TF_CONFIG lists no such pool (only chief, ps, worker); taken for one machine"


@pytest.mark.parametrize(
    ("pools", "pool", "lines"),
    [
        (POOLS, "chief", []),
        ((*POOLS[:2], "worker=worker", "evaluator=evaluator,actor"), "evaluator", []),
        ((*POOLS[:2], "worker=worker", "actr=actor", POOLS[3]), "chief", [f"--pool actr=actor: {NOT_LISTED}"]),
        ((*POOLS[:3], "evalutor=evaluator"), "chief", [f"--pool evalutor=evaluator: {NOT_LISTED}"]),
        (POOLS[:3], "chief", ["no --pool has the role evaluator: the policy is not evaluated while it is trained"]),
        (
            ("chief=learner,replay_server,parameter_server,worker,actor", POOLS[3]),
            "chief",
            ["no --pool for ps: nothing runs there", "no --pool for worker: nothing runs there"],
        ),
    ],
)
def test_pools_with_which_a_job_can_start_but_not_as_it_was_meant_are_warned_of(
    pools: tuple[str, ...], pool: str, lines: list[str]
) -> None:
    machines = machines_of_environment(variable("TF_CONFIG", KUBEFLOW, pool))
    assert pool_warnings(config(), read_pools(pools), machines) == lines


def test_a_pool_whose_roles_the_configuration_does_not_have_is_warned_of() -> None:
    machines = machines_of_environment(variable("TF_CONFIG", KUBEFLOW, "chief"))
    pools = read_pools(("chief=learner,replay_server", "ps=parameter_server,worker", "worker=actor", POOLS[3]))
    assert pool_warnings(tiny("acting.actors=2"), pools, machines) == [
        "--pool ps=parameter_server,worker: nothing runs there, as the configuration has no parameter server and no "
        "worker"
    ]


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({}, "TF_CONFIG or CLUSTER_SPEC must be set: it lists the job's machines"),
        ({"CLUSTER_SPEC": "{"}, "variable CLUSTER_SPEC: it is not JSON"),
        ({"TF_CONFIG": '{"cluster": {}}'}, 'variable TF_CONFIG: "task" must say which process this is'),
        (variable("TF_CONFIG", {"ps": ["host"]}, "ps"), "cluster.ps must be a list of \"host:port\", not ['host']"),
        (variable("TF_CONFIG", {"ps": [7]}, "ps"), 'cluster.ps must be a list of "host:port", not [7]'),
        (variable("TF_CONFIG", {"chief": ["a:1"]}, "chief"), "names no machine of pool 'ps'; its pools: chief"),
        (variable("TF_CONFIG", {**KUBEFLOW, "ps": []}, "chief"), "names no machine of pool 'ps'; its pools"),
        (variable("TF_CONFIG", KUBEFLOW, "worker", 2), "makes this machine worker-2: the job's pools are chief"),
        (variable("TF_CONFIG", KUBEFLOW, "worker", -1), "makes this machine worker--1"),
        (variable("TF_CONFIG", KUBEFLOW, "worker", float("inf")), "TF_CONFIG: task.index = inf is not a number"),
        ({"CLUSTER_SPEC": "[" * 100_000}, "variable CLUSTER_SPEC: it is not JSON"),
        (variable("TF_CONFIG", KUBEFLOW, "master"), "makes this machine master-0"),
        (variable("TF_CONFIG", {**KUBEFLOW, "chief": ["a:65535"]}, "chief"), "chief-0 has no 2 ports from 65535 on"),
        (
            variable("TF_CONFIG", {**KUBEFLOW, "chief": ["127.0.0.1:2222"]}, "chief"),
            "learner 0 is at 127.0.0.1:2222, which no other host can reach",
        ),
    ],
)
def test_what_the_platform_says_wrong_is_one_line(environment: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError) as error:
        topology(config(), machines_of_environment(environment), POOLS)
    assert why in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("pools", "why"),
    [
        (
            (),
            "--pool POOL=ROLE,... is needed for each pool, to say which roles its machines run; environment variable "
            "TF_CONFIG has these pools: chief, ps, worker, more",
        ),
        (("chief",), "--pool chief: must be POOL=ROLE,ROLE"),
        (("chief=",), "--pool chief=: must be POOL=ROLE,ROLE"),
        (("a=actor", "a=worker"), "--pool a=worker: must be POOL=ROLE,ROLE…, each pool once"),
        (("chief=learner,player",), "'player' is not a role: replay_server, learner"),
        (POOLS[:2], "worker is in no pool"),
        ((*POOLS, "more=actor"), "actor is in two pools"),
        (("chief=learner,learner", *POOLS[1:]), "learner is in two pools"),
    ],
)
def test_what_the_job_says_wrong_is_one_line(pools: tuple[str, ...], why: str) -> None:
    everywhere: dict[str, Any] = {**KUBEFLOW, "more": ["host:1"]}
    with pytest.raises(ConfigError) as error:
        topology(config(), machines_of_environment(variable("TF_CONFIG", everywhere, "chief")), pools)
    assert why in str(error.value)
