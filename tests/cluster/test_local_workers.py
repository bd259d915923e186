"""The processes that `train` starts on this host have GPUs of their own, and without GPUs are forked."""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.cluster import local_workers
from tfdqn.cluster.local_workers import LocalWorkers, Shares, fork_server_of_workers, own_share, share_gpus
from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import Config
from tfdqn.errors import ClusterError, ConfigError
from tfdqn.system.fork_server import ForkedProcess, ForkServer
from tfdqn.training import train as training
from tfdqn.training.call import train

ASYNCHRONOUS = tiny("learner.strategy=parameter_server", "learner.workers=2")
LOCKSTEP = tiny("learner.strategy=multi_worker", "learner.workers=2")
SHOW_GPUS = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True)"
NONE = {"CUDA_VISIBLE_DEVICES": ""}
STAYS = """
import os, signal, time
if '"type": "ps"' in os.environ["TF_CONFIG"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begun", flush=True)
time.sleep(600)
"""
SECONDS = 60


def shared(config: Config, *gpus: str) -> tuple[Shares, list[str]]:
    said: list[str] = []
    return share_gpus(config, gpus, said.append), said


def on(names: str) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": names}


def test_those_that_compute_gradients_share_them_out() -> None:
    assert shared(LOCKSTEP, "a", "b", "c", "d") == ({("worker", 0): on("a,b"), ("worker", 1): on("c,d")}, [])
    found, said = shared(ASYNCHRONOUS, "a")
    growing = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    assert found.pop(("worker", 0)) == found.pop(("worker", 1)) == on("a") | growing
    assert found == {("chief", 0): NONE, ("ps", 0): NONE}
    assert said == ["2 processes compute gradients on this host's 1 GPU: they share it"]
    assert own_share(LOCKSTEP, shared(LOCKSTEP, "a", "b")[0]) == on("a")
    assert own_share(ASYNCHRONOUS, shared(ASYNCHRONOUS, "a", "b")[0]) == NONE


def test_nccl_is_refused_where_processes_would_share_a_gpu() -> None:
    by_nccl = tiny("learner.strategy=multi_worker", "learner.workers=2", "learner.all_reduce=nccl")
    assert shared(by_nccl, "a", "b")[0] == {("worker", 0): on("a"), ("worker", 1): on("b")}
    with pytest.raises(ConfigError, match="2 processes compute gradients on this host's 1 GPU, and NCCL allows one"):
        shared(by_nccl, "a")


def test_who_learns_alone_or_has_none_is_told_nothing() -> None:
    for config, gpus in ((tiny("learner.strategy=mirrored"), ("a", "b")), (LOCKSTEP, ())):
        shares, said = shared(config, *gpus)
        assert (shares, said) == ({}, []) and own_share(config, shares) == {}


def test_a_process_sees_its_own(tmp_path: Path) -> None:
    shares, _ = shared(ASYNCHRONOUS, "a", "b")
    jobs = {"chief": 1, "worker": 2, "ps": 1}
    workers = LocalWorkers(jobs, [sys.executable, "-c", SHOW_GPUS], tmp_path, shares)
    logs = {name: tmp_path / f"{name}.log" for name in ("worker-0", "worker-1", "ps-0")}
    deadline = time.monotonic() + SECONDS
    while not all(log.read_text() for log in logs.values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers.close()
    assert {name: log.read_text() for name, log in logs.items()} == {"worker-0": "a\n", "worker-1": "b\n", "ps-0": "\n"}


@pytest.mark.parametrize("is_forked", [False, True], ids=["started", "forked"])
def test_their_end_kills_one_that_does_not_end_when_asked(
    is_forked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stays.py").write_text(STAYS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setattr(local_workers, "_GRACE_SECONDS", 0.5)
    command = (sys.executable, "-m", "stays")
    with ForkServer(["json"]) as server:
        if is_forked:
            server.prepare(command, lambda: False)
        workers = LocalWorkers({"chief": 1, "worker": 1, "ps": 1}, command, tmp_path, start=server.start)
    processes = [process for process, _ in workers._processes.values()]
    assert all(isinstance(process, ForkedProcess) == is_forked for process in processes)
    until(lambda: all((tmp_path / name).read_text() == "begun\n" for name in ("worker-0.log", "ps-0.log")))
    workers.check()
    workers.close()
    assert [process.returncode for process in processes] == [-signal.SIGTERM, -signal.SIGKILL]
    with pytest.raises(ClusterError, match=r"^worker 0 was killed by signal 15.*; see .*/worker-0\.log$"):
        workers.check()


def test_train_deals_them_out_and_sees_its_own_while_devices_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    given: list[Shares] = []

    def start(config: Config, run: object, gpus: Shares, *_: object) -> None:
        given.append(gpus)
        raise ClusterError("enough")

    def listed(kind: str | None = None) -> list[str]:
        seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
        return []

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(training, "visible_gpus", lambda: ("a", "b"))
    monkeypatch.setattr(training, "start_processes", start)
    monkeypatch.setattr("tfdqn.learning.devices.tf.config.list_physical_devices", listed)
    with pytest.raises(ClusterError, match="enough"):
        train(LOCKSTEP, tmp_path / "run")
    assert given == [{("worker", 0): on("a"), ("worker", 1): on("b")}]
    assert seen[0] == "a" and set(seen[1:]) <= {None}
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def servers(config: Config, cluster: Cluster | None = None) -> tuple[bool | None, bool | None]:
    """Whether it imports at once, for a process that imports meanwhile and for one that has; None: there is none."""
    found = []
    for begins in (True, False):
        with fork_server_of_workers(config, cluster, begins=begins) as server:
            found.append(None if server is None else server._process is not None)
    return found[0], found[1]


def test_they_are_forked_where_that_is_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(map(find_spec, local_workers._MODULES))
    monkeypatch.setattr(local_workers, "_MODULES", ("json",))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert servers(ASYNCHRONOUS) == (True, False)
    assert servers(LOCKSTEP) == (True, None)  # a single one: a server would import in its place
    assert servers(tiny("learner.strategy=mirrored")) == (None, None)
    elsewhere = Cluster(jobs={"worker": ("127.0.0.1:1", "127.0.0.1:2")}, job="worker", index=0)
    assert servers(LOCKSTEP, elsewhere) == (None, None)
    with ThreadPoolExecutor(1) as pool:  # they would die with this thread
        assert pool.submit(servers, ASYNCHRONOUS).result() == (None, None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert servers(ASYNCHRONOUS) == (None, None)
