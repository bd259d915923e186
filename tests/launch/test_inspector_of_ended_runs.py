"""What `tfdqn inspect` says of a run of one process, or a job, that something has ended before its time."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch.test_local_job import a_launch
from tests.support.commands import PROJECT
from tests.support.job_output import until_at_work
from tests.support.tiny_runs import tiny
from tfdqn.errors import NotFiniteError, RunDirError
from tfdqn.launch.inspector import Inspector
from tfdqn.launch.local_job import program_for
from tfdqn.records import Counters, Status
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.failures import (
    failures_are_kept,
    failures_say_what_is_saved,
    keep_failure,
    keep_interruption,
    keep_sudden_end,
)
from tfdqn.storage.run_directory import RunDir

STALLED = "the run has made no progress for 601 s (learning): ended; the same command or call goes on with it"
KILLED = """
import os, signal, sys
from tfdqn.storage.run_directory import RunDir
run = RunDir(sys.argv[1])
with run.claim_alone(run.config()):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def standing(run: RunDir | Path) -> tuple[Status, str]:
    """The status, and what comes before the command to go on."""
    report = Inspector(str(run.path if isinstance(run, RunDir) else run)).report()
    return report.status, report.problem.partition("; to ")[0]


def kill_the_process_of(run: RunDir) -> int:
    """Has a process claim the run and be killed; returns its pid."""
    killed = subprocess.Popen([sys.executable, "-c", KILLED, str(run.path)], cwd=PROJECT)
    assert killed.wait(timeout=240) == -signal.SIGKILL
    return killed.pid


def said_of_killed(pid: int) -> str:
    return f"process {pid} ended without saving: it was killed, or its environment or a library has ended it"


def test_what_has_stopped_it_is_said_until_it_is_trained_again(run: RunDir) -> None:
    with run.claim_alone(tiny()):
        keep_interruption(run, is_saved=True)
    interrupted = "not finished: it was interrupted by the program that trained it"
    assert standing(run) == (Status.STOPPED, interrupted)
    with run.claim_alone(tiny()):
        pass
    assert standing(run) == (Status.STOPPED, "not finished")


def test_why_its_process_has_ended_itself_is_said(run: RunDir) -> None:
    with run.claim_alone(tiny()):
        keep_sudden_end(run, STALLED)
    assert standing(run) == (Status.STOPPED, f"not finished: {STALLED}")


def test_a_failure_that_the_same_command_would_meet_again_is_to_be_corrected_first(run: RunDir) -> None:
    keep_failure(run, "loss is nan")
    assert standing(run) == (Status.FAILED, "failed: loss is nan; correct that first")
    CheckpointManager(run.checkpoints).save(Counters(env_steps=4), {}, lambda directory: None)
    assert standing(run) == (Status.FAILED, "failed: loss is nan")


def test_a_run_whose_keys_let_it_fail_has_no_command_that_would_fail_again(run: RunDir) -> None:
    run.metrics_file.write_text("{}")
    with (
        pytest.raises(NotFiniteError),
        failures_are_kept(run),
        failures_say_what_is_saved(run),
        run.claim_alone(tiny()),
    ):
        raise NotFiniteError("loss is nan")
    status, said = Inspector(str(run.path)).report().status, Inspector(str(run.path)).report().problem
    assert status == Status.FAILED
    assert re.fullmatch(
        r"failed: loss is nan; nothing was saved yet; the run's keys .* directory \(--run-dir, run_dir in Python\)",
        said,
    )


def test_one_of_many_runs_whose_keys_let_it_fail_needs_new_runs_with_others(run: RunDir) -> None:
    run.process_logs.mkdir()
    run.child_log.touch()
    keep_failure(run, "loss is nan", needs_another_run=True)
    said = "the run's keys are fixed: to change them, begin new runs, in another folder"
    assert standing(run) == (Status.FAILED, f"failed: loss is nan; its log is {run.child_log}; {said}")


def test_the_log_of_a_process_that_was_killed_is_named_if_there_is_one(run: RunDir) -> None:
    said = f"not finished: {said_of_killed(kill_the_process_of(run))}"
    assert standing(run) == (Status.STOPPED, said)
    run.child_log.touch()  # as of seeds that are trained together
    assert standing(run) == (Status.STOPPED, f"{said}; {run.child_log} may say more")
    run.native_log.touch()
    assert standing(run) == (Status.STOPPED, f"{said}; {run.native_log} may say more")


def test_a_command_that_is_refused_hides_no_process_that_was_killed(run: RunDir) -> None:
    said = said_of_killed(kill_the_process_of(run))
    run.best.mkdir()  # of another configuration
    other = tiny("agent.n_step=3")
    for refused in (run.refuse_early, lambda config: RunDir(run.path).claim_alone(config).__enter__()):
        with pytest.raises(RunDirError, match="belongs to another configuration"):
            refused(other)
        assert standing(run) == (Status.STOPPED, f"not finished: {said}")
    with run.claim_alone(tiny()):
        pass
    assert standing(run) == (Status.STOPPED, "not finished")


def test_that_a_jobs_learner_was_killed_is_said(run: RunDir) -> None:
    said = said_of_killed(kill_the_process_of(run))
    run.cluster_file.write_bytes(program_for(tiny(), run, has_evaluator=False).topology.to_json())
    assert standing(run) == (Status.STOPPED, f"the job is not running here: {said}")


def test_a_job_that_train_takes_over_while_it_is_watched_is_no_longer_the_jobs(run: RunDir) -> None:
    run.cluster_file.write_bytes(program_for(tiny(), run, has_evaluator=False).topology.to_json())
    watching = Inspector(str(run.path))
    assert watching.report().topology is not None
    run.cluster_file.unlink()
    report = watching.report()
    assert (report.topology, report.learner) == (None, "")
    assert report.problem.startswith("not finished; to begin again:")


def test_the_signal_that_has_stopped_a_job_is_said(tmp_path: Path) -> None:
    with a_launch(tmp_path) as process:
        until_at_work(process, "learner 0")
        process.send(signal.SIGTERM)
        assert process.ended() == 0
    assert standing(tmp_path / "run") == (Status.STOPPED, "the job is not running here: it was interrupted by SIGTERM")


def test_that_the_learner_of_a_stopped_job_could_not_save_is_said(tmp_path: Path) -> None:
    (tmp_path / "learner-0.do").write_text("deaf")
    with a_launch(tmp_path) as process:
        until_at_work(process, "learner 0")
        process.send(signal.SIGTERM)
        process.until(lambda: "stopping on SIGTERM" in process.out, "acknowledgement")
        os.kill(int((tmp_path / "learner-0.lives").read_text()), signal.SIGKILL)
        assert process.ended() == 143
    said = "the job is not running here: it was interrupted by SIGTERM; the learner could not save"
    assert standing(tmp_path / "run") == (Status.STOPPED, said)


def test_a_cluster_file_that_is_removed_when_it_is_looked_for_is_none(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.cluster_file.write_bytes(program_for(tiny(), run, has_evaluator=False).topology.to_json())
    read_bytes = Path.read_bytes

    def removed_first(self: Path) -> bytes:
        if self == run.cluster_file:  # `tfdqn train` begins at this moment
            self.unlink()
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", removed_first)
    report = Inspector(str(run.path)).report()
    assert (report.topology, report.learner) == (None, "")
