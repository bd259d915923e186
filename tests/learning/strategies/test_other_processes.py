"""The processes that a chief starts are its own to end, also if they never meet."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from tests.support.tiny_runs import tiny
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.cluster.local_workers import LocalWorkers
from tfdqn.coordination.peers import Peers
from tfdqn.errors import ClusterError, ConfigError
from tfdqn.learning.strategies import distribution, other_processes
from tfdqn.learning.strategies.other_processes import OtherProcesses, start_processes
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.fork_server import ForkedProcess, ForkServer


def test_processes_are_ended_if_they_never_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a program that has used TensorFlow before: it catches the error, and goes on."""
    started = LocalWorkers({"worker": 2}, ["sleep", "600"], tmp_path / "logs")

    def never_meets(*_: object) -> None:
        raise ConfigError("TensorFlow has computed in this process before")

    monkeypatch.setattr(other_processes, "make_strategy", never_meets)
    config = tiny("learner.strategy=multi_worker", "learner.workers=2")
    with pytest.raises(ConfigError, match="has computed in this process"):
        OtherProcesses(config, started.cluster, started).meet(["CPU:0"], print)
    process, _ = started._processes["worker 1"]
    has_ended = process.poll() is not None
    started.close()
    assert has_ended


def test_a_server_forks_them_and_is_not_needed_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleeps.py").write_text("import time; time.sleep(600)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(other_processes, "TRAIN", (sys.executable, "-m", "sleeps"))
    config = tiny("learner.strategy=parameter_server", "learner.workers=1")
    server = ForkServer(["json"])
    others = start_processes(config, RunDir(tmp_path), {}, server, lambda: False)
    assert others is not None and others._started is not None and server._process is None
    processes = [process for process, _ in others._started._processes.values()]
    assert [type(each) for each in processes] == [ForkedProcess] * 2
    others.check()
    others.close()
    assert [each.returncode for each in processes] == [-signal.SIGTERM] * 2


@pytest.mark.parametrize("name", ["worker 0", "parameter server 0"])
def test_a_process_that_ends_before_it_answers_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    started = LocalWorkers({"chief": 1, "worker": 1, "ps": 1}, ["sleep", "600"], tmp_path / "logs")
    monkeypatch.setattr(other_processes.Peers, "poll", until_given_up(PATIENCE_SECONDS))
    os.kill(started.pids[name], signal.SIGKILL)
    config = tiny("learner.strategy=parameter_server", "learner.workers=1")
    with pytest.raises(ClusterError, match=rf"^{name} was killed by signal 9 \(SIGKILL\); see .*-0\.log$"):
        OtherProcesses(config, started.cluster, started).meet(["CPU:0"], print)
    assert all(process.poll() is not None for process, _ in started._processes.values())


@pytest.mark.parametrize("name", ["worker 0", "parameter server 0"])
def test_a_process_that_ends_while_tensorflow_connects_to_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    started = LocalWorkers({"chief": 1, "worker": 1, "ps": 1}, ["sleep", "600"], tmp_path / "logs")
    given_up = Event()

    def connects_to_nobody(*_: object) -> None:
        os.kill(started.pids[name], signal.SIGKILL)
        given_up.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(other_processes.Peers, "poll", lambda _: True)
    monkeypatch.setattr(other_processes, "make_strategy", connects_to_nobody)
    config = tiny("learner.strategy=parameter_server", "learner.workers=1")
    with pytest.raises(ClusterError, match=rf"^{name} was killed by signal 9 \(SIGKILL\); see .*-0\.log$"):
        OtherProcesses(config, started.cluster, started).meet(["CPU:0"], print)
    given_up.set()
    assert all(process.poll() is not None for process, _ in started._processes.values())


def test_a_lockstep_wait_for_a_process_that_ended_before_it_answered_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = LocalWorkers({"worker": 2}, ["sleep", "600"], tmp_path / "logs")
    monkeypatch.setattr(other_processes, "abort_collectives", lambda *lost: aborted.append(lost))
    aborted: list[tuple[str, int]] = []
    config = tiny("learner.strategy=multi_worker", "learner.workers=2")
    others = OtherProcesses(config, started.cluster, started)
    ((peers, _),) = others.required_peers()

    def meets_nobody(*_: object) -> None:
        assert not peers.poll() and not aborted
        os.kill(started.pids["worker 1"], signal.SIGKILL)
        until(lambda: not peers.poll() and aborted == [("worker", 1)], "the end of the wait")
        raise tf.errors.UnavailableError(None, None, "aborted")

    monkeypatch.setattr(other_processes, "make_strategy", meets_nobody)
    with pytest.raises(ClusterError, match=r"^worker 1 was killed by signal 9 \(SIGKILL\); see .*worker-1\.log$"):
        others.meet(["CPU:0"], print)


def test_collectives_are_not_aborted_before_the_strategy_begins_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which it must be the first to use."""
    unused = context.Context()
    monkeypatch.setattr(context, "context", lambda: unused)
    distribution.abort_collectives("worker", 1)
    assert not unused._initialized


def until_given_up(seconds: float) -> Callable[[Peers], bool]:
    """A poll that nobody answers; after this time it fails the test."""
    deadline = time.monotonic() + seconds

    def poll(_: Peers) -> bool:
        assert time.monotonic() < deadline, "it still waits"
        return False

    return poll
