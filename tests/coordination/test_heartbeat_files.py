"""Heartbeat files: the folder that all of a user's processes share is that user's alone."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support.disks import fill, small_disk
from tfdqn.cli import main
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.coordination.heartbeat_files import VARIABLE, HeartbeatFile, heartbeat_file, read_heartbeat, write_heartbeat
from tfdqn.errors import ClusterError

ACTOR = ProcessId(Role.ACTOR, 1)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This user's folder in the system's temporary one, which nobody has made yet."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"tfdqn-{os.getuid()}"


def test_no_other_user_can_write_where_heartbeat_files_are(shared: Path) -> None:
    before = os.umask(0)
    try:
        write_heartbeat(heartbeat_file(ACTOR), "actor 1", "acting", 5.0)
    finally:
        os.umask(before)
    assert shared.stat().st_mode & 0o777 == 0o700
    found = read_heartbeat(heartbeat_file(ACTOR))
    assert found is not None and (found.name, found.pid, found.state) == ("actor 1", os.getpid(), "acting")


def test_a_folder_that_may_be_anothers_is_refused(shared: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    shared.symlink_to(elsewhere)
    with pytest.raises(ClusterError, match=f"{shared} is not this user's alone: name another folder in {VARIABLE}"):
        heartbeat_file(ACTOR)
    shared.unlink()
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(ClusterError, match="is not this user's alone"):
        heartbeat_file(ACTOR)
    assert list(elsewhere.iterdir()) == []


def test_a_probe_says_so_in_one_line(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared.write_text("no folder")
    assert main.main(["health", "actor"]) == 2
    assert capsys.readouterr().err.startswith(f"tfdqn: {shared} is not this user's alone")


def test_a_folder_that_is_named_is_taken_as_it_is(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert heartbeat_file(ACTOR) == tmp_path / "actor-1.json"
    assert heartbeat_file(ACTOR, tmp_path / "run") == tmp_path / "run" / "actor-1.json"
    assert not shared.exists()


def test_a_run_directory_that_is_moved_away_or_removed_is_not_made_again(tmp_path: Path) -> None:
    run, said = tmp_path / "run", list[str]()
    file = heartbeat_file(ACTOR, run / "processes" / "beats")
    heartbeat = HeartbeatFile(file, "actor 1", said.append)
    heartbeat.write("acting", 5.0)
    shutil.rmtree(file.parent)
    heartbeat.write("acting", 6.0)
    assert file.exists() and said == []  # as after a cleaner of temporary folders
    run.rename(tmp_path / "elsewhere")
    for _ in range(2):
        heartbeat.write("acting", 7.0)
    assert not run.exists()
    assert len(said) == 1 and said[0].startswith(f"warning: actor 1: no heartbeat can be written to {file} (No such")


def test_on_a_full_disk_a_heartbeat_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    """The supervisor would kill every process of a job whose disk is full for a few seconds."""
    with small_disk(tmp_path, "1m") as disk:
        said: list[str] = []
        file, other = HeartbeatFile(disk / "actor-1.json", "actor 1", said.append), disk / "actor-2.json"
        file.write("acting, with much to say", 5.0)
        fill(disk)
        for state in ("acting", "acting, with even more to say than before"):
            file.write(state, 7.0)
            found = read_heartbeat(disk / "actor-1.json")
            assert found is not None and (found.state, found.steps_per_second) == (state, 7.0)
        assert said == []
        HeartbeatFile(other, "actor 2", said.append).write("acting", 5.0)
        assert ["No space left on device" in line for line in said] == [True]
        assert {each.name for each in disk.iterdir()} == {"actor-1.json", "filler"}
