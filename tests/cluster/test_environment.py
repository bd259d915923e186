"""`TF_CONFIG` as the processes that learn read it, and those of a job; what can't be used ends with one line."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tfdqn.cluster.environment import cluster_of_environment, topology_of_environment
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.tf_config import Cluster
from tfdqn.errors import ConfigError

JOBS = {"chief": ["a:1"], "worker": ["b:2", "c:3"], "ps": ["d:4"]}
JOB = {"learner": ["host-a:2222"], "replay_server": ["host-b:2222"], "actor": ["host-c:1", "host-d:1"]}


def read(cluster: object, task: object) -> Cluster | None:
    return cluster_of_environment({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})})


def tf_config(kind: str, index: object, jobs: dict[str, Any] = JOB) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


def test_without_the_variable_or_a_cluster_there_is_none() -> None:
    assert cluster_of_environment({}) is None
    assert cluster_of_environment({"TF_CONFIG": " "}) is None
    assert read({}, {"type": "worker", "index": 0}) is None


def test_a_cluster_is_read_and_written_again() -> None:
    cluster = read(JOBS, {"type": "worker", "index": 1})
    assert cluster is not None
    assert (cluster.name, cluster.chief_host) == ("worker 1", "a")
    assert cluster.addresses("worker") == ("b:2", "c:3")
    assert cluster.addresses("evaluator") == ()
    assert cluster_of_environment({"TF_CONFIG": cluster.tf_config()}) == cluster
    assert replace(cluster, job="ps", index=0).name == "parameter server 0"


def test_jobs_that_do_not_learn_are_left_out() -> None:
    others = {"evaluator": ["e:5"], "actor": ["f:6"], "replay_server": ["g:7"], "learner": ["h:8"]}
    cluster = read(JOBS | others, {"type": "chief", "index": 0})
    assert cluster is not None
    assert set(cluster.jobs) == {"chief", "worker", "ps"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it is not JSON"),
        ("[]", "it is not a JSON object"),
        ('{"cluster": {"worker": ["a:1"], "worker": ["b:1"]}}', 'the key "worker" is given twice'),
        ('{"clusters": {}, "task": {}}', "it has no \"cluster\", but 'clusters', 'task'"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}}', "worker 0 and worker 1 have the same address: a:1"),
        ('{"cluster": [1]}', '"cluster" must map each job to its addresses, as in {"worker": ["host-a:2222"]}'),
        (
            '{"cluster": {"worker": ["a:1"], "wroker": ["b:2"]}}',
            "'wroker' is not a job of a cluster: the jobs are chief, ps, replay_server, learner",
        ),
        ('{"cluster": {"evaluator": ["a:1"]}}', "the cluster has none of chief, worker, ps"),
        ('{"cluster": {"worker": ["a"]}}', "cluster.worker must be a list of \"host:port\", not ['a']"),
        ('{"cluster": {"worker": ["a:70000"]}}', "cluster.worker must be a list"),
        (
            '{"cluster": {"worker": ["127.0.0.1:1", "b:2"]}}',
            "worker 0 is at 127.0.0.1:1, which no other host can reach, and worker 1 is at b:2: each must have",
        ),
        ('{"cluster": {"worker": ["a:1"]}}', '"task" must say which process this is'),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator"}}',
            "task.type = 'evaluator' is not one of the cluster's jobs that learn: worker",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "task.index = 1: worker has 1 tasks, counted from 0",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "%s"}}' % ("1" * 5000),
            "task.index = '1111",
        ),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": ["worker"]}}', """task.type = "['worker']" is not one"""),
        ("[" * 100_000, "it is not JSON"),
        ('{"cluster": {"worker": ["a:%s"]}}' % ("1" * 5000), "cluster.worker must be a list"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cluster_of_environment({"TF_CONFIG": text})
    assert str(caught.value).startswith(f"environment variable TF_CONFIG: {why}")
    assert "\n" not in str(caught.value)


def test_tf_config_says_who_this_is_by_its_own_names() -> None:
    jobs = {**JOB, "ps": ["host-b:2223"], "worker": ["host-c:2224"], "chief": ["host-a:2223"]}
    topology, process_id = topology_of_environment(tf_config("ps", "0", jobs))
    assert (process_id, topology.actor) == (ProcessId(Role.PARAMETER_SERVER), 2)
    assert topology.parameter_server == ("host-b:2223",)
    assert topology_of_environment(tf_config("chief", 0, jobs))[1] == ProcessId(Role.LEARNER)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "TF_CONFIG: it is not JSON"),
        (tf_config("actor", float("inf"))["TF_CONFIG"], "task.index = inf is not a number"),
        (tf_config(["actor"], 0)["TF_CONFIG"], "is not a job of a cluster"),
    ],
    ids=["nested", "infinity", "list"],
)
def test_a_variable_that_names_no_process_of_a_job_is_one_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        topology_of_environment({"TF_CONFIG": text})


def test_without_a_cluster_the_line_says_how_to_give_one() -> None:
    with pytest.raises(
        ConfigError, match=r"^the addresses of the job's processes are needed: give --cluster FILE, or set TF_CONFIG$"
    ):
        topology_of_environment({})
    with pytest.raises(ConfigError, match="TF_CONFIG: it is not a JSON object"):
        topology_of_environment({"TF_CONFIG": "[1]"})
