"""What `tfdqn inspect` says of a run of one process, or a job, that something has ended before its time."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch.test_local_job import a_launch
from tests.support.job_output import until_at_work
from tests.support.tiny_runs import tiny
from tfdqn.config.toml import dump
from tfdqn.errors import RESTART_STATUS, STOPPED_STATUS
from tfdqn.launch.inspector import Inspector
from tfdqn.records import Status
from tfdqn.storage.failures import keep_stop, keep_sudden_end
from tfdqn.storage.run_directory import RunDir

STALLED = "the run has made no progress for 601 s (learning): it ends, to be started again"
HELD_UP = "the run was asked to end, and is held up (learning): it ends without saving"
KILLED = """
import os, signal, sys
from tfdqn.config import Config
from tfdqn.storage.run_directory import RunDir
with RunDir(sys.argv[1]).claim_alone(Config()):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    run.config_file.write_text(dump(tiny()))
    return run


def standing(run: RunDir | Path) -> tuple[Status, str]:
    """The status, and what comes before the command to go on."""
    report = Inspector(str(run.path if isinstance(run, RunDir) else run)).report()
    return report.status, report.problem.partition("; to ")[0]


def test_what_has_stopped_it_is_said_until_it_is_trained_again(run: RunDir) -> None:
    with run.claim_alone(tiny()):
        keep_stop(run, "interrupted by SIGTERM", is_saved=True)
    assert standing(run) == (Status.STOPPED, "not finished: interrupted by SIGTERM")
    with run.claim_alone(tiny()):
        pass
    assert standing(run) == (Status.STOPPED, "not finished")


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        (STALLED, RESTART_STATUS, (Status.FAILED, f"failed: {STALLED}")),
        (HELD_UP, STOPPED_STATUS, (Status.STOPPED, f"not finished: {HELD_UP}")),
    ],
)
def test_why_its_process_has_ended_itself_is_said(
    run: RunDir, line: str, status: int, said: tuple[Status, str]
) -> None:
    with run.claim_alone(tiny()):
        keep_sudden_end(run, line, status)
    assert standing(run) == said


def test_a_process_that_was_killed_is_named(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    killed = subprocess.Popen([sys.executable, "-c", KILLED, str(run.path)])
    assert killed.wait(timeout=240) == -signal.SIGKILL
    status, said = standing(run)
    assert status == Status.STOPPED
    assert said.startswith(
        f"not finished: process {killed.pid} ended without saving: it was killed, or its environment"
    )
    assert str(run.native_log) in said


def test_the_signal_that_has_stopped_a_job_is_said(tmp_path: Path) -> None:
    with a_launch(tmp_path) as process:
        until_at_work(process, "learner 0")
        process.send(signal.SIGTERM)
        assert process.ended() == 0
    assert standing(tmp_path / "run") == (Status.STOPPED, "the job is not running here: interrupted by SIGTERM")
