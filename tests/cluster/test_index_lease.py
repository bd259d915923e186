"""Who finds out by itself which of its role's processes it is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import PROJECT, tfdqn, write_config
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.cluster.index_lease import lease_index
from tfdqn.cluster.roles import Role
from tfdqn.errors import ClusterError
from tfdqn.storage.locks import Attempt, FileLock

HOLDER = """
import os, sys, time
from pathlib import Path
from tfdqn.cluster.index_lease import lease_index
from tfdqn.cluster.roles import Role
say = lambda line: print(line, flush=True)
lease_index(Path(sys.argv[1]), Role.ACTOR, int(sys.argv[2]), say, lambda: False)
if os.fork() == 0:
    print("child", os.getpid(), flush=True)
time.sleep(600)
"""


class Holders:
    """Processes that hold places, each with a child that outlives it."""

    def __init__(self, folder: Path):
        self.folder, self.processes = folder, list[subprocess.Popen[str]]()

    def begin(self, count: int = 2) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(self.folder), str(count)]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE_SECONDS)


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[Holders]:
    made = Holders(tmp_path / "places")
    try:
        yield made
    finally:
        made.end()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_each_is_another_and_who_dies_leaves_its_place_to_the_next(holders: Holders) -> None:
    first = holders.begin()
    assert (line(first), line(first).split()[0]) == ("this is actor 0", "child")
    second = holders.begin()
    assert line(second) == "this is actor 1"
    third = holders.begin()
    assert line(third) == "waiting: all indices are taken (2 actors)"
    first.kill()  # its child lives on, and holds nothing
    first.wait(PATIENCE_SECONDS)
    assert line(third) == "this is actor 0"


def test_roles_have_places_of_their_own(holders: Holders, tmp_path: Path) -> None:
    assert line(holders.begin()) == "this is actor 0"
    said: list[str] = []
    process_id = lease_index(tmp_path / "places", Role.WORKER, 1, said.append, lambda: False)
    assert (str(process_id), said) == ("worker 0", ["this is worker 0"])


def test_who_is_told_to_stop_while_it_waits_takes_no_place(holders: Holders, tmp_path: Path) -> None:
    assert line(holders.begin(1)) == "this is actor 0"
    began = time.monotonic()
    assert (
        lease_index(tmp_path / "places", Role.ACTOR, 1, lambda _: None, lambda: time.monotonic() > began + 0.1) is None
    )


def test_while_one_waits_the_role_is_named_in_words(tmp_path: Path) -> None:
    held = FileLock(tmp_path / "replay_server-0.lock")
    assert held.try_acquire() is Attempt.ACQUIRED
    said: list[str] = []
    assert lease_index(tmp_path, Role.REPLAY_SERVER, 1, said.append, lambda: True) is None
    assert said == ["waiting: all indices are taken (1 replay server)"]
    held.release()


def test_what_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ClusterError, match=r"no index can be claimed in .*file: "):
        lease_index(tmp_path / "file", Role.ACTOR, 1, lambda _: None, lambda: False)
    cluster = tmp_path / "cluster.json"
    cluster.write_text('{"learner": ["a:1"], "replay_server": ["a:2"], "actor": 1}')
    arguments = ("run", "actor", write_config(tmp_path), "--cluster", "cluster.json")
    with tfdqn(tmp_path, *arguments, "--index", "0", "--places", "places") as process:
        assert process.ended() == 2
    assert process.err == "tfdqn: --index 0 and --leases both say which process this is: give only one\n"
    assert not (tmp_path / "places").exists()
