"""A cluster of processes that learn together: who is its chief, and what they are called."""

import pytest
from msgspec.structs import replace

from tests.support.tiny_runs import tiny
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.tf_config import Cluster
from tfdqn.cluster.topology import Topology

JOBS = {"chief": ("a:1",), "worker": ("b:2", "c:3"), "ps": ("d:4",)}


@pytest.mark.parametrize(
    ("jobs", "job", "index", "is_chief"),
    [
        (JOBS, "chief", 0, True),
        (JOBS, "worker", 0, False),
        ({"worker": ("a:1", "b:2")}, "worker", 0, True),
        ({"worker": ("a:1", "b:2")}, "worker", 1, False),
    ],
)
def test_without_a_chief_the_first_worker_is_it(jobs: dict, job: str, index: int, is_chief: bool) -> None:
    cluster = Cluster(jobs=jobs, job=job, index=index)
    assert cluster.is_chief == is_chief


def test_the_chief_is_the_first_of_those_that_learn_in_lockstep() -> None:
    workers, with_chief = {"worker": ("a:1", "b:2")}, {"chief": ("a:1",), "worker": ("b:2", "c:3")}
    assert [Cluster(jobs=workers, job="worker", index=index).rank for index in range(2)] == [0, 1]
    assert Cluster(jobs=with_chief, job="chief", index=0).rank == 0
    assert [Cluster(jobs=with_chief, job="worker", index=index).rank for index in range(2)] == [1, 2]


@pytest.mark.parametrize(("address", "host"), [("a:1", "a"), ("10.0.0.1:1", "10.0.0.1"), ("[fd00::1]:1", "fd00::1")])
def test_the_others_reach_the_chief_s_host_as_the_cluster_has_it(address: str, host: str) -> None:
    cluster = Cluster(jobs={"worker": (address, "b:2")}, job="worker", index=1)
    assert cluster.chief_host == host


def test_a_job_s_processes_have_the_job_s_names() -> None:
    """Where they learn in lockstep, TensorFlow takes the learner for the first worker."""
    topology = Topology(learner="a:1", chief="a:2", replay_server=("a:3",), worker=("b:2", "c:2"), actor=1)
    cluster = topology.sub_cluster(tiny("learner.strategy=multi_worker"), ProcessId(Role.WORKER, 1))
    assert cluster is not None
    assert [cluster.name_of("worker", index) for index in range(3)] == ["learner 0", "worker 0", "worker 1"]
    assert (cluster.index, cluster.name, replace(cluster, job="worker", index=0).name) == (2, "worker 1", "learner 0")
