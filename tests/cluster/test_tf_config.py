"""`TF_CONFIG` in and out; what can't be used ends with one line."""

import json

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.tf_config import Cluster
from tfdqn.cluster.topology import Topology
from tfdqn.errors import ConfigError

JOBS = {"chief": ["a:1"], "worker": ["b:2", "c:3"], "ps": ["d:4"]}


def read(cluster: object, task: object) -> Cluster | None:
    return cluster_of_environment({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})})


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
    assert cluster.seen_from("ps", 0).name == "parameter server 0"


@pytest.mark.parametrize(
    ("jobs", "job", "index", "is_chief"),
    [
        (JOBS, "chief", 0, True),
        (JOBS, "worker", 0, False),
        ({"worker": ["a:1", "b:2"]}, "worker", 0, True),
        ({"worker": ["a:1", "b:2"]}, "worker", 1, False),
    ],
)
def test_without_a_chief_the_first_worker_is_it(jobs: dict, job: str, index: int, is_chief: bool) -> None:
    cluster = read(jobs, {"type": job, "index": index})
    assert cluster is not None
    assert cluster.is_chief == is_chief


@pytest.mark.parametrize(
    ("address", "host"), [("a:1", "a"), ("10.0.0.1:1", "10.0.0.1"), ("[fd00::1]:1", "fd00::1")]
)
def test_the_others_reach_the_chief_s_host_as_the_cluster_has_it(address: str, host: str) -> None:
    cluster = read({"worker": [address, "b:2"]}, {"type": "worker", "index": 1})
    assert cluster is not None
    assert cluster.chief_host == host


def test_a_job_s_processes_have_the_job_s_names() -> None:
    """Where they learn in step, TensorFlow takes the learner for the first worker."""
    topology = Topology(learner="a:1", chief="a:2", replay_server=("a:3",), worker=("b:2", "c:2"), actor=1)
    cluster = topology.sub_cluster(tiny("learner.strategy=multi_worker"), ProcessId(Role.WORKER, 1))
    assert cluster is not None
    assert [cluster.name_of("worker", index) for index in range(3)] == ["learner 0", "worker 0", "worker 1"]
    assert (cluster.index, cluster.name, cluster.seen_from("worker", 0).name) == (2, "worker 1", "learner 0")


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
        ('{"clusters": {}, "task": {}}', "it has no \"cluster\", but 'clusters', 'task'"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}}', "two processes have one address: a:1, a:1"),
        ('{"cluster": [1]}', '"cluster" must map each job to its addresses'),
        (
            '{"cluster": {"worker": ["a:1"], "wroker": ["b:2"]}}',
            "cluster.wroker: there is no such job; "
            "there are chief, worker, ps, evaluator, actor, replay_server, learner",
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
            "task.type = 'evaluator' is none of the cluster's jobs that learn: worker",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "task.index = 1: worker has 1 tasks, counted from 0",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "%s"}}' % ("1" * 5000),
            "task.index = '1111",
        ),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": ["worker"]}}', "task.type = ['worker'] is none"),
        ("[" * 100_000, "it is not JSON"),
        ('{"cluster": {"worker": ["a:%s"]}}' % ("1" * 5000), "cluster.worker must be a list"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cluster_of_environment({"TF_CONFIG": text})
    assert str(caught.value).startswith(f"environment variable TF_CONFIG: {why}")
    assert "\n" not in str(caught.value)
