"""Locks exclude on disks whose own locks exclude nobody, and nobody is locked out for long by what a kill leaves."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tfdqn.cluster.index_lease import lease_index
from tfdqn.cluster.roles import Role
from tfdqn.config import Config
from tfdqn.errors import ClusterError, RunDirError
from tfdqn.storage import locks
from tfdqn.storage.locks import Attempt, FileLock, NoLocksError
from tfdqn.storage.owners import Lease, encoded_lease, owner_of_mark, this_process
from tfdqn.storage.run_directory import RunDir

KILLED = """
import os, sys
from pathlib import Path
from tfdqn.storage.locks import FileLock
print(FileLock(Path(sys.argv[1])).try_acquire().name, flush=True)
os._exit(0)
"""


@pytest.fixture
def grants_every_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "lock"


def acquired(file: Path) -> FileLock:
    lock = FileLock(file)
    assert lock.try_acquire() is Attempt.ACQUIRED
    return lock


def lease(file: Path) -> dict:
    return json.loads(file.read_bytes())


def leave_lease(file: Path, renewals: int = 7, **owner: object) -> None:
    """As a process leaves it that is this one, but for what is given."""
    acquired(file).release()
    this = {name: getattr(this_process(), name) for name in ("pid", "started", "kernel", "namespace", "host")}
    device = file.stat().st_dev
    content = {"owner": this | owner, "token": "another's", "device": device, "beats": renewals}
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EPERM])
def test_a_disk_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(NoLocksError):
        FileLock(tmp_path / "lock").try_acquire()
    why = os.strerror(number)
    with (
        pytest.raises(RunDirError, match=f"run can't be locked: {why}: choose a run directory"),
        RunDir(tmp_path / "run").claim(Config()),
    ):
        pass
    with pytest.raises(
        ClusterError, match=rf"no index can be claimed in .*places: its file system has no locks \({why}\)"
    ):
        lease_index(tmp_path / "places", Role.ACTOR, 2, pytest.fail, lambda: False)


def test_what_is_given_back_is_free_and_leaves_no_lease(file: Path) -> None:
    for _ in range(2):
        lock = acquired(file)
        assert lease(file)["owner"]["pid"] == os.getpid()
        assert FileLock(file).try_acquire() is Attempt.HELD
        lock.release()
        assert file.read_bytes() == b""


@pytest.mark.usefixtures("grants_every_lock")
def test_a_running_holder_excludes_where_the_disk_grants_every_lock(file: Path) -> None:
    holder, second = acquired(file), FileLock(file)
    assert second.try_acquire() is Attempt.HELD
    assert str(second.holder) == f"process {os.getpid()}"
    second.release()
    assert lease(file)["owner"]["pid"] == os.getpid()  # it has given nothing away
    holder.release()
    acquired(file).release()


@pytest.mark.usefixtures("grants_every_lock")
def test_two_trainings_never_share_a_run(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with (
        run.claim_alone(Config()),
        pytest.raises(RunDirError, match="run is in use by another thread of this process: wait for it"),
        RunDir(tmp_path / "run").claim_alone(Config()),
    ):
        pass


@pytest.mark.usefixtures("grants_every_lock")
def test_each_place_is_one_processs(tmp_path: Path) -> None:
    def take() -> str:
        return str(lease_index(tmp_path, Role.ACTOR, 2, lambda _: None, lambda: False))

    assert [take(), take()] == ["actor 0", "actor 1"]


@pytest.mark.parametrize("kernels", ["excludes", "grants every lock"])
def test_a_killed_holder_locks_nobody_out(file: Path, monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, file], capture_output=True, text=True, timeout=240)
    assert killed.stdout == "ACQUIRED\n" and lease(file)["owner"]["pid"] != os.getpid()
    if kernels == "grants every lock":
        monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    acquired(file).release()


@pytest.mark.usefixtures("grants_every_lock")
def test_another_process_with_the_number_of_a_killed_one_is_not_the_holder(file: Path) -> None:
    leave_lease(file, started=this_process().started - 1)
    acquired(file).release()


def test_a_container_of_this_host_that_was_killed_locks_nobody_out(file: Path) -> None:
    leave_lease(file, namespace=1)
    acquired(file).release()


@pytest.mark.parametrize("content", [b"", b"{", b"7", b'{"token": "\xff"}'])
def test_a_lease_that_can_t_be_read_is_nobodys(file: Path, content: bytes) -> None:
    acquired(file).release()
    file.write_bytes(content)
    acquired(file).release()


@pytest.mark.parametrize("where", [{"kernel": "another", "host": "far"}, {"namespace": 1, "host": "container"}])
@pytest.mark.usefixtures("grants_every_lock")
def test_a_holder_elsewhere_is_known_by_its_renewals(
    file: Path, monkeypatch: pytest.MonkeyPatch, where: dict[str, object]
) -> None:
    leave_lease(file, **where)
    lock = FileLock(file)
    assert lock.try_acquire() is Attempt.UNCLEAR
    assert lock.try_acquire() is Attempt.UNCLEAR
    renewed = lease(file) | {"beats": 8}
    file.write_text(json.dumps(renewed))
    assert lock.try_acquire() is Attempt.HELD
    assert str(lock.holder) == f"process {os.getpid()} on {where['host']}"
    monkeypatch.setattr(locks, "STALE_SECONDS", 0.0)
    assert [lock.try_acquire(), lock.try_acquire()] == [Attempt.UNCLEAR, Attempt.ACQUIRED]  # it is renewed no more
    lock.release()


@pytest.mark.usefixtures("grants_every_lock")
def test_a_run_whose_holder_elsewhere_was_killed_is_taken_after_a_wait_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "STALE_SECONDS", 0.0)
    run = RunDir(tmp_path / "run")
    leave_lease(run.lock_file, kernel="another", host="far")
    with run.claim(Config()):
        pass
    assert f"process {os.getpid()} on far may still be using {run.path}: waiting" in capsys.readouterr().err


def test_a_holder_shows_that_it_lives(file: Path) -> None:
    lock = acquired(file)
    before = lease(file)
    lock.renew()
    assert lease(file) == before | {"beats": lease(file)["beats"]}
    assert lease(file)["beats"] > before["beats"]
    lock.release()
    lock.renew()
    assert file.read_bytes() == b""


def test_a_renewal_while_the_lock_is_taken_does_not_take_it_for_lost(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = FileLock(file)
    renewing = threading.Thread(target=lock.renew)

    def encoded(lease: Lease) -> bytes:
        if renewing.ident is None:  # the first time
            renewing.start()
            renewing.join(0.2)
        return encoded_lease(lease)

    monkeypatch.setattr(locks, "encoded_lease", encoded)
    assert lock.try_acquire() is Attempt.ACQUIRED
    renewing.join(10)
    assert not lock.is_lost
    lock.release()


def test_who_was_silent_for_too_long_saves_nothing_more_and_gives_nothing_away(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        run.confirm_claim()
        mine = lease(run.lock_file)
        taker = mine | {"token": "another's", "owner": mine["owner"] | {"kernel": "another", "host": "far"}}
        run.lock_file.write_text(json.dumps(taker))
        with pytest.raises(RunDirError, match=f"run was taken over by process {os.getpid()} on far, which did"):
            run.confirm_claim()
    assert lease(run.lock_file) == taker


def test_who_goes_on_after_another_has_had_the_run_and_ended_saves_nothing_more(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        run.lock_file.write_bytes(b"")  # as one elsewhere leaves it that took it and gave it back
        with pytest.raises(RunDirError, match="run was taken over by another process, which did"):
            run.confirm_claim()
    assert run.lock_file.read_bytes() == b""


def test_who_is_taken_over_while_it_ends_gives_nothing_away(file: Path) -> None:
    lock = acquired(file)
    taker = json.dumps(lease(file) | {"token": "another's"})
    file.write_text(taker)
    lock.release()
    assert file.read_text() == taker


def test_a_mark_names_its_process() -> None:
    this = owner_of_mark(this_process().mark)
    assert this is not None and this.is_running()
    assert owner_of_mark("12-34") is None
