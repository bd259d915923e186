"""What TensorFlow said of lost processes of a cluster, each provoked once on hosts of their own, in one line."""

from pathlib import Path

import pytest
import tensorflow as tf

from tests.support.tiny_runs import tiny
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.cluster.tf_config import Cluster
from tfdqn.cluster.tf_errors import in_one_line
from tfdqn.cluster.topology import Topology

TEXTS = Path(__file__).with_name("tensorflow_errors")
WORKERS = {"worker": ("host-a:2222", "host-b:2222", "host-c:2222")}
SERVED = {"chief": ("host-a:2222",), "worker": ("host-b:2222",), "ps": ("host-c:2222",)}
# How they learned, what was done to whom, and who tells of it → its line.
LINES = {
    "averaging-killed-worker1-chief": "worker 1 at host-b:2222: heartbeat timeout",
    "ensemble-killed-worker1-chief": "worker 1 at host-b:2222: Connection reset by peer",
    "multi_worker-cut-worker1-chief": "worker 1 at host-b:2222: heartbeat timeout",
    "multi_worker-cut-worker1-follower": "worker 0 at host-a:2222: Deadline Exceeded",
    "multi_worker-killed-worker0-follower": "worker 0 at host-a:2222: Connection reset by peer",
    "multi_worker-killed-worker1-chief": "worker 1 at host-b:2222: Connection reset by peer",
    "multi_worker-meeting-killed-worker0-follower": "worker 0 at host-a:2222: Socket closed",
    "multi_worker-meeting-killed-worker1-chief": "worker 1 at host-b:2222: Barrier failed from a task error",
    "multi_worker-of-three-killed-worker2-chief": "worker 2 at host-c:2222: Connection reset by peer",
    "multi_worker-of-three-killed-worker2-follower": "worker 2 at host-c:2222: Connection reset by peer",
    "parameter_server-killed-ps0-chief": "parameter server 0 at host-c:2222: failed to connect to all addresses",
}


def cluster(name: str) -> Cluster:
    if name.startswith("parameter_server"):
        return Cluster(jobs=SERVED, job="chief", index=0)
    return Cluster(jobs=WORKERS, job="worker", index=1 if name.endswith("follower") else 0)


def error(message: str, kind: type[tf.errors.OpError] = tf.errors.UnavailableError) -> tf.errors.OpError:
    return kind(None, None, message)


def text(name: str) -> str:
    return (TEXTS / f"{name}.txt").read_text(encoding="utf-8")


def test_every_text_has_its_line() -> None:
    assert {file.stem for file in TEXTS.glob("*.txt")} == set(LINES)


@pytest.mark.parametrize("name", LINES)
def test_the_line_names_who_is_lost_and_why(name: str) -> None:
    assert in_one_line(error(text(name)), cluster(name), "worker 7") == f"worker 7 has lost {LINES[name]}"


def test_in_a_job_the_line_has_the_job_s_names() -> None:
    topology = Topology(learner="a:1", chief="host-a:2222", worker=("host-b:2222",), replay_server=("c:3",))
    config = tiny("learner.strategy=multi_worker")
    said = {}
    for process_id, name in ((LEARNER, "killed-worker1-chief"), (ProcessId(Role.WORKER), "killed-worker0-follower")):
        seen = topology.sub_cluster(config, process_id)
        assert seen is not None
        said[process_id] = in_one_line(error(text(f"multi_worker-{name}")), seen, seen.name)
    assert said == {
        LEARNER: "learner 0 has lost worker 0 at host-b:2222: Connection reset by peer",
        ProcessId(Role.WORKER): "worker 0 has lost learner 0 at host-a:2222: Connection reset by peer",
    }


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("", "UnavailableError"),
        ("Graph execution error:\n\n", "UnavailableError"),
        ("Socket closed", "Socket closed"),
        ("Graph execution error:\n\n(0) CANCELLED: x was cancelled\n(1) UNAVAILABLE: y is away", "y is away"),
        ("2 root error(s) found.\n(0) CANCELLED: x was cancelled", "x was cancelled"),
        ("from remote target /job:worker/replica:0/task:0 while calling", "from remote target"),
        ("from remote target /job:worker/replica:0/task:9 while calling", "from remote target"),
    ],
)
def test_where_nobody_else_is_named_it_says_only_why(message: str, line: str) -> None:
    said = in_one_line(error(message), cluster("multi_worker"), "the cluster")
    assert said is not None and said.startswith(f"the cluster has lost a process: {line}")
    assert "\n" not in said


def test_what_a_process_fails_by_itself_is_nobody_s_loss() -> None:
    too_large = error("OOM when allocating tensor with shape[1]", tf.errors.ResourceExhaustedError)
    assert in_one_line(too_large, cluster("multi_worker"), "the cluster") is None
    elsewhere = error(
        "OOM when allocating\nAdditional GRPC error information from remote target "
        "/job:worker/replica:0/task:1 while calling",
        tf.errors.ResourceExhaustedError,
    )
    said = in_one_line(elsewhere, cluster("multi_worker"), "the cluster")
    assert said == "the cluster has lost worker 1 at host-b:2222: OOM when allocating"


def test_an_address_that_cannot_be_had_is_named() -> None:
    said = in_one_line(error("Could not start gRPC server"), cluster("parameter_server"), "the cluster")
    assert said == "chief 0 can't serve at host-a:2222: is the address in use, or another host's?"
