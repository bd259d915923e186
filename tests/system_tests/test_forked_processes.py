"""What the fork servers of `launch` and of many runs import can be forked: TensorFlow has begun nothing, and works."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.commands import PROJECT, tfdqn
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.launch import local_job
from tfdqn.launch.local_job import program_for
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.fork_server import ForkedProcess, ForkServer
from tfdqn.system.subprocesses import status_when_ended
from tfdqn.tuning.child_runs import fork_server_of_runs

COMPUTES = """
import json, os, sys
from pathlib import Path
has_tensorflow, threads = "tensorflow" in sys.modules, len(os.listdir("/proc/self/task"))
import tensorflow as tf
total = tf.function(lambda x: tf.reduce_sum(tf.matmul(x, x)), jit_compile=True)(tf.ones([50, 50]))
found = {"tensorflow": has_tensorflow, "threads": threads, "total": float(total), "modules": sorted(sys.modules)}
Path("found.json").write_text(json.dumps(found))
"""
ROLES = ("actor", "evaluator", "learner", "parameter_server", "replay_server", "worker")


def of_job(folder: Path) -> AbstractContextManager[ForkServer | None]:
    config = tiny("learner.strategy=parameter_server", "learner.workers=1", "learner.parameter_servers=1")
    return local_job._fork_server(program_for(config, RunDir(folder), True))


@pytest.mark.parametrize(
    ("servers", "modules"),
    [
        (of_job, [f"tfdqn.roles.{role}" for role in ROLES]),
        (lambda folder: fork_server_of_runs(2), ["tfdqn.cli.runs", "tfdqn.training.train"]),
    ],
    ids=["job", "runs"],
)
def test_a_fork_computes(
    servers: Callable[[Path], AbstractContextManager[ForkServer | None]],
    modules: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "computes.py").write_text(COMPUTES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    command = (sys.executable, "-m", "computes")
    with servers(tmp_path / "run") as server:
        assert server is not None
        server.prepare(command, lambda: False)
        child = server.start(command, tmp_path / "log", {})
        until(lambda: status_when_ended(child) is not None)
    assert isinstance(child, ForkedProcess) and child.returncode == 0, (tmp_path / "log").read_text()
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["tensorflow"] and found["threads"] == 1 and found["total"] == 50.0**3
    assert set(modules) <= set(found["modules"])


def test_a_command_of_these_tests_in_a_fork_is_as_one_that_was_started(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "given.toml")  # which it waits for
    ended = []
    for is_forked in (True, False):
        with tfdqn(tmp_path, "config", "given.toml", environment={"COLUMNS": "80"}, is_forked=is_forked) as process:
            process.until(lambda process=process: process.pid in process.relatives(), "mark")
            parent = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1]
            (tmp_path / "given.toml").write_text("no = 1\n")
            ended.append((process.ended(), process.out, process.err, int(parent) == os.getpid(), process.relatives()))
    assert ended[0] == ended[1]
    assert ended[0][0] == 2 and ended[0][2].startswith("tfdqn: ")
