"""`tfdqn health` without a role: what an image says of whatever runs in it."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import tfdqn, write_config
from tests.support.run_files import finished_run
from tests.support.tiny_runs import tiny
from tfdqn.cli import main
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.config.toml import dump
from tfdqn.coordination import heartbeat_files
from tfdqn.coordination.heartbeat_files import VARIABLE, heartbeat_of_command, read_heartbeat, write_heartbeat
from tfdqn.storage.owners import Lease, Owner, encoded_lease, this_process

ACTOR, LEARNER = ProcessId(Role.ACTOR, 1), ProcessId(Role.LEARNER)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "beats"))
    return tmp_path / "beats"


def health(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    status = main.main(["health", *arguments])
    return status, capsys.readouterr().out.splitlines()


def change_heartbeat(file: Path, clock: str | None = None, **numbers: float) -> None:
    """Moves a heartbeat's times, or its pid, by so much, and has the times read off another clock."""
    heartbeat = json.loads(file.read_text())
    heartbeat |= {name: heartbeat[name] + by for name, by in numbers.items()}
    file.write_text(json.dumps(heartbeat | ({} if clock is None else {"clock": clock})))


def test_where_no_process_gives_a_heartbeat_none_is_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert health(capsys) == (1, [f"no running process has a heartbeat in {folder}"])


def test_where_there_are_none_a_run_may_have_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for arguments in (), ("actor",):
        status, (line,) = health(capsys, *arguments)
        assert status == 1 and line.endswith("; for a run launched on this host, give --run-dir RUN")


def test_everybody_is_asked_and_one_that_is_silent_is_enough(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for process_id in (ACTOR, LEARNER):
        write_heartbeat(folder / f"{process_id.file_stem}.json", str(process_id), "at work", 1.0)
    mine = f"(process {os.getpid()})"
    assert health(capsys) == (0, [f"actor 1: at work {mine}", f"learner 0: at work {mine}"])
    change_heartbeat(folder / "actor-1.json", seconds=-100, monotonic_seconds=-100)
    status, lines = health(capsys)
    assert status == 1
    silent, well = lines
    assert re.match(r"actor 1: silent for 1\d\d s, after at work", silent) and silent.endswith(mine)
    assert well == f"learner 0: at work {mine}"
    assert health(capsys, "--within", "1000")[0] == 0


@pytest.mark.parametrize("within", ["10", "1e9"])
@pytest.mark.parametrize("clock", [None, "another", ""], ids=["here", "another host's", "unknown"])
@pytest.mark.parametrize("time", ["seconds", "monotonic_seconds"])
def test_a_heartbeat_from_the_future_is_none(
    folder: Path, capsys: pytest.CaptureFixture[str], time: str, clock: str | None, within: str
) -> None:
    write_heartbeat(folder / "actor-1.json", "actor 1", "at work", 1.0)
    change_heartbeat(folder / "actor-1.json", clock, **{time: 3600.0})
    if time == "monotonic_seconds" and clock is not None:
        assert health(capsys)[0] == 0  # that clock can't be read here
        return
    status, (line,) = health(capsys, "--within", within)
    assert status == 1
    assert re.match(r"actor 1: its heartbeat is of 3,(600|5\d\d) s in the future: ", line)


def test_a_clock_that_is_set_makes_no_live_process_ill_and_no_stopped_one_well(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_heartbeat(folder / "actor-1.json", "actor 1", "at work", 1.0)
    change_heartbeat(folder / "actor-1.json", seconds=-3600)  # set forward since
    assert health(capsys)[0] == 0
    change_heartbeat(folder / "actor-1.json", seconds=3600, monotonic_seconds=-60)  # set back by less than the silence
    status, (line,) = health(capsys)
    assert status == 1
    assert re.match(r"actor 1: silent for 6\d s, after at work", line)


def test_clocks_may_differ_by_a_second(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now)
    write_heartbeat(folder / "actor-1.json", "actor 1", "at work", 1.0)
    change_heartbeat(folder / "actor-1.json", "another host's", seconds=0.9)
    assert health(capsys, "--within", "0.5")[0] == 0


def test_who_has_ended_is_no_longer_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "from tfdqn.coordination.heartbeat_files import heartbeat_of_command; import os, pathlib, sys\n"
    code += "with heartbeat_of_command('serve', print):\n"
    code += "  while not list(pathlib.Path(sys.argv[1]).glob('*.json')): pass\n"
    code += "  os._exit(0)"
    subprocess.run([sys.executable, "-c", code, folder], check=True, timeout=240)
    (left,) = folder.glob("*.json")
    assert (heartbeat := read_heartbeat(left)) is not None and heartbeat.name == "serve"
    assert health(capsys)[0] == 1


def test_a_process_of_a_run_s_job_that_is_gone_is_not_well_without_a_role_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished_run(tmp_path / "run", tiny("stop.env_steps=9_000"), [20.0], 20.0)
    run.summary_file.unlink()
    run.heartbeats.mkdir(parents=True)
    run.cluster_file.write_text("{}")
    write_heartbeat(run.heartbeats / "learner-0.json", str(LEARNER), "at work", 1.0)
    code = "from tfdqn.coordination.heartbeat_files import write_heartbeat; import pathlib, sys\n"
    code += "write_heartbeat(pathlib.Path(sys.argv[1]), 'actor 1', 'at work', 1.0)"
    subprocess.run([sys.executable, "-c", code, run.heartbeats / "actor-1.json"], check=True, timeout=240)
    status, (gone, alive) = health(capsys, "--run-dir", str(run.path))
    assert status == 1 and gone.startswith("actor 1: gone, after at work")
    assert alive == f"learner 0: at work (process {os.getpid()})"
    os.utime(run.cluster_file, (time.time() + 3600, time.time() + 3600))  # a launch of fewer actors since
    assert health(capsys, "--run-dir", str(run.path)) == (0, [alive])
    earlier = read_heartbeat(run.heartbeats / "actor-1.json")
    assert earlier is not None
    change_heartbeat(run.heartbeats / "actor-1.json", pid=os.getpid() - earlier.pid)  # which a new process has got
    assert health(capsys, "--run-dir", str(run.path)) == (0, [alive])


def test_heartbeats_go_on_while_a_command_runs_and_end_with_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with heartbeat_of_command("launch", pytest.fail):
        deadline = time.monotonic() + 240
        seen: set[float] = set()
        while len(seen) < 2:
            assert time.monotonic() < deadline
            seen |= {heartbeat.seconds for file in folder.glob("*.json") if (heartbeat := read_heartbeat(file))}
        assert health(capsys) == (0, [f"launch: running (process {os.getpid()})"])
    assert health(capsys)[0] == 1


def test_a_process_that_can_t_give_heartbeats_says_so_once_and_gives_them_when_it_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(heartbeat_files, "_PERIOD_SECONDS", 0.01)
    folder.write_text("a file")
    said: list[str] = []
    with heartbeat_of_command("train", said.append):
        deadline = time.monotonic() + 240
        while not said:
            assert time.monotonic() < deadline
        assert health(capsys)[0] == 1
        folder.unlink()
        while health(capsys)[0]:
            assert time.monotonic() < deadline
    (line,) = said
    assert line.startswith("warning: train: no heartbeat can be written to ")


def test_training_is_well_from_its_beginning(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    with tfdqn(tmp_path, "train", config, environment={VARIABLE: str(folder)}, is_forked=False) as process:
        process.until(lambda: main.main(["health"]) == 0, "heartbeat")
        assert f"train: running (process {process.pid})" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("actor", "--index", "1")])
def test_a_run_that_has_finished_is_well(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished_run(tmp_path / "run", tiny(), [20.0], 20.0)
    said = (0, [f"{run.path} has finished: the budget of 1,200 environment steps was reached"])
    assert health(capsys, *arguments, "--run-dir", str(run.path)) == said
    run.heartbeats.mkdir(parents=True)
    heartbeat = run.heartbeats / "actor-1.json"
    write_heartbeat(heartbeat, str(ACTOR), "at work", 1.0)
    alive = (0, [f"actor 1: at work (process {os.getpid()})"])
    assert health(capsys, *arguments, "--run-dir", str(run.path)) == alive
    change_heartbeat(heartbeat, seconds=-100, monotonic_seconds=-100)  # of one that was killed
    assert health(capsys, *arguments, "--run-dir", str(run.path)) == said
    run.config_file.write_text(dump(tiny("stop.env_steps=9_000")))  # to be trained further
    assert health(capsys, *arguments, "--run-dir", str(run.path))[0] == 1
    run.summary_file.unlink()
    assert health(capsys, *arguments, "--run-dir", str(run.path))[0] == 1


def test_a_run_that_train_is_training_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished_run(tmp_path / "run", tiny(), [20.0], 20.0)
    none = f"no running process has a heartbeat in {run.heartbeats}"
    of_run = ("--run-dir", str(run.path))
    with run.claim_alone(tiny()):
        said = f"{run.path}: `tfdqn train` is training it: process {os.getpid()}"
        assert health(capsys, *of_run) == (0, [said])
        assert health(capsys, "actor", *of_run)[0] == 1  # no job has such a process
        for lock_file in (run.lock_file, run.supervisor_lock_file):
            lock_file.write_bytes(encoded_lease(Lease(Owner(12, 1, "its kernel", 1, "far"), token="its own", device=1)))
        unseen = (
            f"{run.path}: `tfdqn train` is training it: process 12 on far; whether it still runs can't be seen from"
        )
        assert health(capsys, *of_run) == (0, [f"{unseen} here"])
    run.summary_file.unlink()
    with run.claim(tiny()):  # as the learner of a job, whose heartbeat tells of it
        assert health(capsys, *of_run) == (1, [none])
    killed = this_process()
    killed = Owner(killed.pid, killed.started + 1, killed.kernel, killed.namespace, killed.host)
    for lock_file in (run.lock_file, run.supervisor_lock_file):
        lock_file.write_bytes(encoded_lease(Lease(killed, token="its own", device=1)))
    assert health(capsys, *of_run) == (1, [none])


def test_of_a_process_without_a_heartbeat_of_its_own_no_process_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_heartbeat(heartbeat_files.heartbeat_file(ACTOR), str(ACTOR), "starting", 0.0, pid=0)
    monkeypatch.setattr(heartbeat_files, "_is_there", lambda pid: pid > 0)
    assert heartbeat_files.health_of_all(None, 8.0) == [heartbeat_files.Finding("actor 1: starting", True)]


@pytest.mark.parametrize(("patience_seconds", "well_until"), [(10.0, 60.0), (600.0, 600.0)])
def test_a_first_heartbeat_may_take_as_long_as_the_supervisor_waits_and_a_minute_at_least(
    folder: Path, patience_seconds: float, well_until: float
) -> None:
    file = heartbeat_files.heartbeat_file(ACTOR)
    for late_seconds in (-20.0, 20.0):
        write_heartbeat(file, str(ACTOR), "starting", 0.0, pid=0, patience_seconds=patience_seconds)
        change_heartbeat(file, clock="another", seconds=-(well_until + late_seconds))
        assert heartbeat_files.health_of(ACTOR, None, 8.0).is_well == (late_seconds < 0)
