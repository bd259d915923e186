"""`tfdqn launch` as its user meets it, with stand-ins for the processes: its lines, its signals, what is left of it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.commands import PROGRAM, PROJECT, Tfdqn, tfdqn, write_config
from tests.support.job_output import until_at_work
from tests.support.run_files import a_summary
from tests.support.tiny_runs import tiny
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.cli import main
from tfdqn.cli.live_table import JobView
from tfdqn.config.toml import dump
from tfdqn.launch import local_job
from tfdqn.records import Counters
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import write_summary

# `python -c` of these is `tfdqn` whose processes are stand-ins.
STAND_IN = str(PROJECT / "tests" / "support" / "fake_role.py")
WITH_STAND_INS = f"""
import functools, sys
from tfdqn.launch import local_job
local_job.Supervisor = functools.partial(local_job.Supervisor, command=(sys.executable, {STAND_IN!r}))
{PROGRAM}
"""


def a_launch(folder: Path, *arguments: str):  # type: ignore[no-untyped-def]
    return tfdqn(
        folder,
        *("launch", write_config(folder), "--run-dir", "run", *arguments),
        environment={"STAND_INS": str(folder)},
        program=WITH_STAND_INS,
    )


def lives(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.lives"))


def nobody_is_left(process: Tfdqn) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.relatives() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not process.relatives()


def test_one_ctrl_c_stops_a_job_and_the_line_that_it_prints_goes_on_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--replay-servers", "2", "--parameter-servers", "1", "--actors", "2", "--no-evaluator")
    with a_launch(tmp_path, *options) as process:
        twos = [f"{role} {index}" for role in ("replay server", "worker", "actor") for index in range(2)]
        until_at_work(process, "learner 0", "parameter server 0", *twos)
        asked = ["health", "actor", "--index", "1", "--run-dir", str(tmp_path / "run")]
        assert main.main(asked) == 0
        assert capsys.readouterr().out.startswith("actor 1: at work (process ")
        process.send(signal.SIGINT)
        assert process.ended() == 0
    assert process.err == ""
    assert len(lives(tmp_path)) == 8
    assert nobody_is_left(process)
    first, *_, said, again = process.out.splitlines()
    assert first.startswith("starting 8 processes; their output is in run/processes")
    cluster = json.loads((tmp_path / "run" / "cluster.json").read_text())
    assert (cluster["actor"], cluster["evaluator"], len(cluster["worker"])) == (2, 0, 2)
    assert said == "Nothing was saved yet. To begin again:"
    assert again == (
        "tfdqn launch tiny.toml learner.strategy=parameter_server "
        "learner.parameter_servers=1 acting.actors=2 replay.shards=2 --no-evaluator --run-dir run"
    )
    environment = {"STAND_INS": str(tmp_path)}
    with tfdqn(tmp_path, *process.resumption(), environment=environment, program=WITH_STAND_INS) as resumed:
        until_at_work(resumed, "actor 0", "actor 1")
        (tmp_path / "over").touch()
        assert resumed.ended() == 0
    assert json.loads((tmp_path / "run" / "cluster.json").read_text()) == cluster
    assert main.main(asked) == 1
    assert "actor 1: no heartbeat" in capsys.readouterr().out


def test_a_run_that_is_being_run_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with a_launch(tmp_path) as process:
        until_at_work(process, "actor 0", "evaluator 0")
        before = len((tmp_path / "actor-0.lives").read_text().splitlines())
        monkeypatch.chdir(tmp_path)
        monkeypatch.setitem(sys.modules, "tfdqn.training.train", None)  # most of the start is its import
        for verb in ("launch", "train"):
            assert main.main([verb, "tiny.toml", "--run-dir", "run"]) == 2
            assert capsys.readouterr().err == (
                f"tfdqn: run is in use by process {process.pid}: wait for it, or end it first\n"
            )
        assert len((tmp_path / "actor-0.lives").read_text().splitlines()) == before
        process.send(signal.SIGTERM)
        assert process.ended() == 0


def test_a_second_ctrl_c_ends_everything_at_once(tmp_path: Path) -> None:
    (tmp_path / "learner-0.do").write_text("deaf")
    with a_launch(tmp_path) as process:
        until_at_work(process, "learner 0")
        process.send(signal.SIGINT)
        while not process.ended_within(0.1):  # those within half a second of the first count as one with it
            process.send(signal.SIGINT)
        assert process.ended() == 130
        assert "\nended at once: what was not saved is lost\nTo go on:\ntfdqn launch tiny.toml --run" in process.out
    assert process.err == ""
    assert nobody_is_left(process)


def test_a_terminal_that_is_closed_stops_a_job_in_order(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "STAND_INS": str(tmp_path), "TERM": "xterm"}
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", WITH_STAND_INS, "launch", write_config(tmp_path), "--run-dir", "run"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=err,
        )
    os.close(theirs)
    deadline, shown = time.monotonic() + PATIENCE_SECONDS, b""
    while not re.search(rb"learner 0 +at work", shown):  # which then heeds a signal
        assert time.monotonic() < deadline, shown
        shown += os.read(ours, 4096)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert (tmp_path / "err").read_text() == ""
    assert b"heartbeat" in shown
    assert "learner-0" in (tmp_path / "order").read_text()


def test_nothing_is_left_of_a_job_whose_supervisor_is_killed(tmp_path: Path) -> None:
    with a_launch(tmp_path) as process:
        until_at_work(process, "learner 0", "actor 0", "evaluator 0", "replay server 0")
        assert len(process.relatives()) == 5
        process.kill()
    assert nobody_is_left(process)


def test_a_mistake_that_a_process_finds_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "learner-0.do").write_text("refuse")
    with a_launch(tmp_path) as process:
        assert process.ended() == 2
    assert process.err == "tfdqn: learner 0: task.id = 3: no such thing\n"
    assert nobody_is_left(process)


def test_what_the_processes_print_is_shown_on_request(tmp_path: Path) -> None:
    (tmp_path / "actor-0.do").write_text("75\nsteady")
    with a_launch(tmp_path, "--prefix") as process:
        process.until(lambda: "actor 0 | ValueError: something broke" in process.out, "line")
        process.until(lambda: process.out.count("actor 0 | == actor 0 starts") == 2, "second life")
        until_at_work(process, "actor 0", "learner 0")
        (tmp_path / "over").touch()
        assert process.ended() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--run-dir", "/proc/nowhere"], "/proc/nowhere can't be created or written"),
        (["--run-dir", "file"], "file is a file, not a directory: choose another run directory"),
        (
            ["--run-dir", "full"],
            "full holds other files, such as letter.txt, and no run (config.toml is missing): choose",
        ),
        (["--workers", "2"], '--workers 2: learner.strategy = "local" has none; give --parameter-servers too'),
        (["replay.backend=in_graph", "replay.block_size=16"], 'replay.backend = "in_graph" is within one process'),
        (["--actors", "0"], "'--actors': 0 is not in the range"),
        (["acting.actors=3", "--actors", "2"], "--actors 2 means acting.actors=2, and acting.actors=3 is given, too: "),
        (["replay.shards=3", "--replay-servers", "2"], "--replay-servers 2 means replay.shards=2, and replay.shards=3"),
        (["learner.workers=1", "--workers", "2"], "--workers 2 means learner.workers=2, and learner.workers=1 is"),
        (
            ["learner.strategy=local", "--parameter-servers", "1"],
            "--parameter-servers 1 means learner.strategy=parameter_server, and learner.strategy=local is given, too",
        ),
        (
            ["learner.parameter_servers=2", "--parameter-servers", "1"],
            "--parameter-servers 1 means learner.parameter_servers=1, and learner.parameter_servers=2 is given, too",
        ),
        (["task.id=CartPoel-v1"], 'unknown task "CartPoel-v1"'),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_starts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: Sequence[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    before = {*tmp_path.rglob("*"), tmp_path / write_config(tmp_path)}
    assert main.main(["launch", "tiny.toml", *arguments]) == 2
    written = capsys.readouterr()
    assert said in written.err and written.err.count("\n") == 1
    assert {*tmp_path.rglob("*")} == before


def test_a_run_of_another_configuration_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with a_launch(tmp_path) as process:
        until_at_work(process, "learner 0")
        (tmp_path / "over").touch()
        assert process.ended() == 0
    (tmp_path / "run" / "best").mkdir()  # something came of it
    assert main.main(["launch", "tiny.toml", "agent.n_step=3", "--run-dir", "run"]) == 2
    assert "run belongs to another configuration: agent.n_step: 1 in the run, 3 now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "train_steps", "is_told"),
    [((), 250, True), (("stop.env_steps=2_000",), 250, False), ((), 240, False)],
    ids=["as it ended", "it may go on", "it went on"],
)
def test_a_finished_run_is_told_again_and_nobody_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], train_steps: int, is_told: bool
) -> None:
    started: list[object] = []

    class Supervisor:
        """Its learner ends well, and writes no summary: it was told to end."""

        has_saved = True

        def __init__(self, program: object, *_: object):
            started.append(program)

        def run(self, interrupted: object) -> bool:
            return True

    monkeypatch.setattr(local_job, "Supervisor", Supervisor)
    run = RunDir(tmp_path / "run")
    counters = Counters(env_steps=1_200, train_steps=250)
    CheckpointManager(run.checkpoints).save(counters, {}, lambda _: None)
    run.config_file.write_text(dump(tiny()))
    summary = a_summary(train_steps=train_steps)
    write_summary(run.summary_file, summary)
    told = local_job.launch(tiny(*given), run, JobView(1_200))
    assert told == (replace(summary, status="already finished") if is_told else None, True)
    assert bool(started) != is_told


def test_health_says_who_is_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats = tmp_path / "processes" / "beats"
    heartbeats.mkdir(parents=True)
    write_config(tmp_path)
    (tmp_path / "tiny.toml").rename(tmp_path / "config.toml")
    heartbeat, now = {"name": "worker 2", "pid": 7, "state": "at work", "steps_per_second": 0.0}, time.time()
    monkeypatch.setattr("time.time", lambda: now)
    (heartbeats / "worker-2.json").write_text(json.dumps({**heartbeat, "seconds": now - 100.0}))
    asked = ["health", "worker", "--index", "2", "--run-dir", str(tmp_path)]
    assert main.main(asked) == 1
    assert capsys.readouterr().out == "worker 2: silent for 100 s, after at work (process 7)\n"
    assert main.main([*asked, "--within", "1000"]) == 0
    assert main.main(["health", "painter"]) == 2
    capsys.readouterr()
    assert main.main([*asked, "--within", "-3"]) == 2
    assert "-3.0 is not in the range" in capsys.readouterr().err
    assert main.main(["health", "worker", "--run-dir", "nowhere"]) == 2
    assert capsys.readouterr().err == "tfdqn: nowhere doesn't exist\n"
