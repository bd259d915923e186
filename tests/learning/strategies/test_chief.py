"""The processes that a chief starts are its own to end, also if it fails before it can be closed."""

import signal
import sys
from pathlib import Path

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.cluster.local_workers import LocalWorkers
from tfdqn.errors import ConfigError
from tfdqn.learning.strategies import chief
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.fork_server import ForkedProcess, ForkServer


def test_processes_are_ended_if_they_never_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a program that has used TensorFlow before: it catches the error, and goes on."""
    started: list[LocalWorkers] = []

    def start(*_: object) -> LocalWorkers:
        started.append(LocalWorkers({"worker": 2}, ["sleep", "600"], tmp_path / "logs"))
        return started[0]

    def never_meets(*_: object) -> None:
        raise ConfigError("this process has used TensorFlow before")

    monkeypatch.setattr(chief, "_start_processes", start)
    monkeypatch.setattr(chief, "make_strategy", never_meets)
    config = tiny("learner.strategy=multi_worker", "learner.workers=2")
    with pytest.raises(ConfigError, match="has used TensorFlow before"):
        chief.Chief(config, RunDir(tmp_path), None, ["CPU:0"], print)
    process, _ = started[0]._processes["worker 1"]
    has_ended = process.poll() is not None
    started[0].close()
    assert has_ended


def test_a_server_forks_them_and_is_not_needed_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleeps.py").write_text("import time; time.sleep(600)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chief, "TRAIN", (sys.executable, "-m", "sleeps"))
    config = tiny("learner.strategy=parameter_server", "learner.workers=1")
    server = ForkServer(["json"])
    started = chief._start_processes(config, RunDir(tmp_path), None, server, lambda: False)
    assert started is not None and server._process is None
    processes = [process for process, _ in started._processes.values()]
    assert [type(each) for each in processes] == [ForkedProcess] * 2
    started.check()
    started.close()
    assert [each.returncode for each in processes] == [-signal.SIGTERM] * 2
