"""`tfdqn inspect`: of a job that lives, by its directory and by its address; of a run that was left."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.cli.test_live_table import a_status, an_inspection
from tests.support.commands import tfdqn
from tests.support.run_files import finish, name_own_kinds
from tests.support.tiny_runs import tiny
from tfdqn.cli import main
from tfdqn.config.toml import dump
from tfdqn.coordination.heartbeat_files import STARTING, write_heartbeat
from tfdqn.coordination.messages import Inspection, Nothing, ReplayStatus
from tfdqn.coordination.rpc import Method, RefusedError, Server
from tfdqn.launch.inspector import Inspector
from tfdqn.launch.local_job import program_for
from tfdqn.records import Counters, Summary
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.json_lines import append_line
from tfdqn.storage.locks import locked
from tfdqn.storage.owners import Lease, Owner, encoded_lease
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import write_summary
from tfdqn.system.addresses import free_addresses
from tfdqn.system.shell_commands import own_command


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run that has been launched, saved and evaluated."""
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    run.config_file.write_text(dump(tiny("acting.actors=2")))
    run.cluster_file.write_bytes(program_for(tiny("acting.actors=2"), run, has_evaluator=False).topology.to_json())
    counters = Counters(env_steps=1_100, train_steps=250, episodes=30)
    CheckpointManager(run.checkpoints).save(counters, {}, lambda directory: None)
    returns = [{"env_steps": 500, "mean_return": 20.0}, {"env_steps": 1_000, "mean_return": 9.5}]
    # An evaluator was killed in the middle of a line, and so was the next one.
    run.evaluations_file.write_text('{"env_\n'.join(["", *(f"{json.dumps(each)}\n" for each in returns), ""]) + '{"e')
    return run


def learner(run: RunDir) -> str:
    return json.loads(run.cluster_file.read_text())["learner"][0]


@pytest.fixture
def lives(run: RunDir) -> Iterator[Inspection]:
    """Its learner answers."""
    actor = a_status(0, weights_version=12_400, pid=4_711)
    replay = ReplayStatus(
        address="10.0.0.3:2222", stored=900, capacity=1_000, inserted=4_000, sampled=16_000, seconds_since_answer=0.2
    )
    inspection = msgspec.structs.replace(an_inspection(actor), replay=(replay,))
    lease = Lease(Owner(inspection.pid, 1, "its kernel", 1, inspection.host), token="its own", device=1)
    run.lock_file.write_bytes(encoded_lease(lease))
    server = Server(learner(run), {"inspect": Method(Nothing, lambda _: inspection)})
    yield inspection
    server.close()


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main.main(["inspect", *arguments]) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_job_that_lives_shows_its_processes_and_its_replay(
    run: RunDir, lives: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(capsys, str(run.path))
    assert lines[:5] == [
        "training learning; trained for 0:10",
        "environment steps 125,000 of 1,200, 1,000 episodes",
        "updates 12,500, 200 a second",
        "weights version 12,450",
        "best evaluation 475.00",
    ]
    assert lines[5] == "evaluations 2: the last 9.50 at 1,000 environment steps, the best 20.00"
    assert re.search(r"000001: 1,100 environment steps, 250 updates, \d:\d\d ago$", lines[6])
    assert "actor 0 acting 4711 here 1,000 steps/s 100 updates 0 s" in lines
    assert "actor 1 not seen yet" in lines
    assert "learner 0 learning 815 there 200 updates/s" in lines
    assert lines[-1] == "0 10.0.0.3:2222 900 of 1,000 4,000 16,000 4 0 s"


def test_evaluations_beyond_a_restarted_learner_are_not_shown(
    run: RunDir, lives: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    append_line(run.evaluations_file, {"env_steps": lives.env_steps + 1, "mean_return": 5.0})
    assert shown(capsys, str(run.path))[5].startswith("evaluations 2: the last 9.50 at 1,000 environment steps")


def test_an_address_is_enough(run: RunDir, lives: Inspection, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, learner(run))
    assert "environment steps 125,000, 1,000 episodes" in lines
    assert "actor 0 acting 4711 here 1,000 steps/s 100 updates 0 s" in lines
    assert "learner 0 learning 815 there 200 updates/s" in lines
    assert not any("checkpoint" in line for line in lines)


def test_json_has_the_same_for_programs(run: RunDir, lives: Inspection, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = shown(capsys, str(run.path), "--json")
    report = json.loads(line)
    assert report["inspection"] == json.loads(msgspec.json.encode(lives))
    assert (report["status"], report["learner"]) == ("training", learner(run))
    assert report["run"]["checkpoint"]["train_steps"] == 250


def test_a_run_that_was_left_shows_what_it_left(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    run.heartbeats.mkdir(parents=True)
    heartbeat = {"name": "actor 1", "pid": 7, "state": "acting", "steps_per_second": 9.0}
    (run.heartbeats / "actor-1.json").write_bytes(msgspec.json.encode({**heartbeat, "seconds": 0.0}))
    lines = shown(capsys, str(run.path))
    assert lines[0] == f"status the job is not running here: no learner answers at {learner(run)}; to resume:"
    assert lines[1].split()[-2:] == ["--run-dir", str(run.path)] and lines[2].startswith("evaluations 2: ")
    assert lines[-1].startswith("actor 1 acting 7 ")
    assert lines[-1].endswith(" ago")


def test_a_claim_that_trains_nothing_leaves_the_run_the_jobs(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    with run.claim_alone(run.config()):
        pass
    again = own_command(["launch", str(run.config_file), "--no-evaluator", "--run-dir", str(run.path)])
    assert shown(capsys, str(run.path))[1] == again


def test_only_what_one_launch_here_would_resume_has_its_command(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    topology = run.cluster_file.read_text()
    run.cluster_file.write_text(topology.replace("127.0.0.1", "host-a.invalid"))
    unknown = "the job is not running here: this machine doesn't know the host host-a.invalid"
    (line, after, *_) = shown(capsys, str(run.path))
    assert line.startswith(f"status {unknown} (") and after.startswith("evaluations ")
    run.cluster_file.write_text(topology)


def test_a_job_that_has_finished_says_so_without_the_processes_that_it_has_ended(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(run.path, 20.0, env_steps=1_200)
    run.heartbeats.mkdir(parents=True)
    heartbeat = {"name": "worker 0", "pid": 7, "state": "serving", "steps_per_second": 9.0}
    for age in (600.0, 0.0):
        written = {**heartbeat, "seconds": time.time() - age}
        (run.heartbeats / "worker-0.json").write_bytes(msgspec.json.encode(written))
        lines = shown(capsys, str(run.path))
        assert lines[0] == "status finished: the budget of 1,200 environment steps was reached"
        assert not any(line.startswith("finished") for line in lines)
        assert any(line.startswith("worker 0 ") for line in lines) == (age == 0.0)


def test_a_run_of_one_process_is_one_too(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    run.cluster_file.unlink()
    again = own_command(["train", str(run.config_file), "--run-dir", str(run.path)])
    assert shown(capsys, str(run.path))[:2] == ["status not finished; to resume:", again]
    with run.claim(run.config()):  # as a learner whose cluster file lies elsewhere
        assert shown(capsys, str(run.path))[0] == f"status a learner is training it: process {os.getpid()}"
    shutil.rmtree(run.checkpoints)
    assert shown(capsys, str(run.path))[:2] == ["status not finished; to begin again:", again]


def test_a_finished_run_of_one_process_says_why(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    run.cluster_file.unlink()
    summary = Summary(
        status="finished",
        reason="the budget of 1,200 environment steps was reached",
        env_steps=1_200,
        train_steps=275,
        episodes=31,
        seconds=1.0,
        best_return=20.0,
    )
    write_summary(run.summary_file, summary)
    assert shown(capsys, str(run.path))[0].startswith("status not finished; ")  # trained on since, from the checkpoint
    counters = Counters(env_steps=1_200, train_steps=275, episodes=31)
    CheckpointManager(run.checkpoints).save(counters, {}, lambda directory: None)
    lines = shown(capsys, str(run.path))
    assert lines[0] == "status finished: the budget of 1,200 environment steps was reached"
    assert not any(line.startswith("finished") for line in lines)
    run.config_file.write_text(dump(tiny("stop.env_steps=2_000")))
    assert shown(capsys, str(run.path))[0] == "status not finished; to resume:"


def test_a_report_is_of_one_checkpoint(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two readings of a run in training, the second could find another."""
    finish(run.path, 20.0, env_steps=1_200)
    newest = [CheckpointManager(run.checkpoints).latest(names=())]
    monkeypatch.setattr(CheckpointManager, "latest", lambda self, names: newest.pop())
    assert Inspector(str(run.path)).report().problem == "finished: the budget of 1,200 environment steps was reached"


def test_a_run_of_own_kinds_needs_no_module_of_them(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    name_own_kinds(run.path)
    assert shown(capsys, str(run.path))[0].startswith("status the job is not running here")
    finish(run.path, 20.0, env_steps=1_200)
    assert shown(capsys, str(run.path))[0] == "status finished: the budget of 1,200 environment steps was reached"


def test_a_run_that_train_is_training_says_so(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    with run.claim_alone(run.config()):
        assert shown(capsys, str(run.path))[0] == f"status `tfdqn train` is training it: process {os.getpid()}"
    with run.claim(run.config()):  # as the learner of a job
        assert "`tfdqn train`" not in shown(capsys, str(run.path))[0]


def test_a_learner_that_starts_says_so(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    def not_yet(_: Nothing) -> Inspection:
        raise RefusedError("the learner is starting")

    server = Server(learner(run), {"inspect": Method(Nothing, not_yet)})
    assert shown(capsys, learner(run)) == ["status the learner is starting"]
    server.close()


def test_a_learner_that_starts_and_does_not_listen_yet_says_so(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = f"status no learner answers at {learner(run)}"
    with locked(run.supervisor_lock_file, run.path):  # before its first heartbeat, or after its last
        assert shown(capsys, str(run.path))[0] == f"{nobody}; the job is run by process {os.getpid()}"
        write_heartbeat(run.heartbeats / "learner-0.json", "learner 0", STARTING, 0.0)
        assert shown(capsys, str(run.path))[0] == "status the learner is starting"
        write_heartbeat(run.heartbeats / "learner-0.json", "learner 0", "learning", 0.0)
        assert shown(capsys, str(run.path))[0].startswith(nobody)
    left = msgspec.json.decode((run.heartbeats / "learner-0.json").read_bytes()) | {"state": STARTING, "clock": ""}
    (run.heartbeats / "learner-0.json").write_bytes(msgspec.json.encode(left | {"seconds": 0.0}))
    not_here = nobody.replace("status", "status the job is not running here:")
    assert shown(capsys, str(run.path))[0] == f"{not_here}; to resume:"


def test_what_is_no_job_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (nobody,) = free_addresses(1)
    for target, said in {
        "nowhere": "nowhere does not exist: give the directory of a run",
        "runs/no:2222": "runs/no:2222 does not exist: give the directory of a run",
        "127.0.0.1:99999": "127.0.0.1:99999 does not exist: give the directory of a run",
        "127.0.0.1:0": "127.0.0.1:0 does not exist: give the directory of a run",
        ".": ". is not a run directory: no config.toml in it",
        nobody: f"no learner answers at {nobody}\n",
        "no-such-host.invalid:2222": "this machine doesn't know the host no-such-host.invalid",
    }.items():
        assert main.main(["inspect", target]) == 2
        assert said in capsys.readouterr().err


def test_it_needs_no_tensorflow(run: RunDir, lives: Inspection, tmp_path: Path) -> None:
    program = "import sys\nfrom tfdqn.cli.main import main\nmain()\nprint({'tensorflow', 'reverb'} & set(sys.modules))"
    with tfdqn(tmp_path, "inspect", str(run.path), program=program) as process:
        assert process.ended() == 0
    assert process.out.endswith("set()\n")


def test_it_watches_until_it_is_interrupted(
    run: RunDir, lives: Inspection, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: list[float] = []

    def sleep(interval_seconds: float, others: Callable[[float], None] = time.sleep) -> None:
        if threading.current_thread() is not threading.main_thread():
            return others(interval_seconds)
        seconds.append(interval_seconds)
        if len(seconds) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    assert main.main(["inspect", str(run.path), "--json", "--watch"]) == 130
    assert json.loads(capsys.readouterr().out)["learner"] == learner(run)  # once: nothing but the ages has changed
    assert len(seconds) == 3
    seconds.clear()
    monkeypatch.setattr("tfdqn.cli.inspect_view.ago", lambda _, ages=[8, 9, 10]: f"0:{ages.pop():02} ago")
    assert main.main(["inspect", str(run.path), "--watch"]) == 130
    assert len(seconds) == 3
    assert capsys.readouterr().out.count("environment steps  125,000") == 1


@pytest.mark.parametrize("watched", [[], ["--watch"]])
def test_where_the_reader_has_gone_it_ends(run: RunDir, watched: list[str]) -> None:
    mine, theirs = os.pipe()
    os.close(mine)
    with os.fdopen(theirs, "wb") as output:
        program = [sys.executable, "-m", "tfdqn", "inspect", str(run.path), *watched]
        done = subprocess.run(program, stdout=output, stderr=subprocess.PIPE, text=True, timeout=240)
    assert done.returncode == 1 and "Traceback" not in done.stderr
