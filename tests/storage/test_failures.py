"""What a failed run says and keeps."""

import errno
import os
from pathlib import Path

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.errors import (
    ClusterError,
    EnvironmentFailedError,
    NotFiniteError,
    PeerLostError,
    RefusedProcessError,
    RunDirError,
    TaskError,
    UserError,
)
from tfdqn.storage.failures import (
    claimed_to_train,
    disk_errors_as_run_dir_error,
    failures_are_kept,
    failures_say_what_is_saved,
    keep_failure,
    keep_failure_of_child,
    keep_interruption,
    keep_stop,
    keep_sudden_end,
    tracebacks_are_kept,
    would_fail_again,
)
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd, read_end, why_failed, why_stopped


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "nothing was saved yet"),
        ((".saving-000001",), "nothing was saved yet"),
        (("000001",), "the last checkpoint is intact"),
    ],
)
def test_a_failure_says_whether_there_is_a_checkpoint(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    run = RunDir(tmp_path / "run")
    for name in names:
        (run.checkpoints / name).mkdir(parents=True)
    with (
        pytest.raises(ClusterError, match=f"^worker 1 was killed by signal 9; {said}$"),
        failures_say_what_is_saved(run),
    ):
        raise ClusterError("worker 1 was killed by signal 9")


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        ("", "yet"),
        ("{}", r"yet; the run's keys are fixed, since it has curves in .*: .*\(--run-dir, run_dir in Python\)"),
    ],
)
def test_where_other_keys_are_needed_a_failure_says_if_they_need_another_run(
    tmp_path: Path, curves: str, said: str
) -> None:
    run = RunDir(tmp_path)
    run.metrics_file.write_text(curves)
    with (
        pytest.raises(NotFiniteError, match=f"^loss is nan; nothing was saved {said}$"),
        failures_say_what_is_saved(run),
    ):
        raise NotFiniteError("loss is nan")


def test_the_process_that_started_a_run_leaves_what_the_runs_own_has_noted(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(NotFiniteError), failures_are_kept(run), run.claim_alone(tiny()):
        run.metrics_file.write_text("{}")
        raise NotFiniteError("loss is nan")
    for why in ("loss is nan", "loss is nan; its log says more", "it was killed"):
        keep_failure_of_child(run, why)
        assert read_end(run.end_file) == RunEnd(Outcome.FAILED, False, "loss is nan", needs_another_run=True)
        assert would_fail_again(run)
    for noted in (lambda: run.end_file.unlink(), lambda: keep_stop(run, "it was asked to end", is_saved=True)):
        noted()
        keep_failure_of_child(run, "it was killed")
        assert read_end(run.end_file) == RunEnd(Outcome.FAILED, False, "it was killed")
        assert not would_fail_again(run)
    keep_failure(run, "loss is nan", needs_another_run=True)
    (run.checkpoints / "000001").mkdir(parents=True)
    assert not would_fail_again(run)


def test_a_job_whose_learner_failed_by_its_keys_needs_another_run_too(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    for needs_another_run in (True, False):
        with pytest.raises(RefusedProcessError), failures_are_kept(run), run.supervise(tiny()):
            keep_failure(run, "loss is nan", needs_another_run=needs_another_run)  # by the learner
            raise RefusedProcessError("learner 0: loss is nan")
        assert read_end(run.end_file) == RunEnd(Outcome.FAILED, False, "learner 0: loss is nan", needs_another_run)


def test_one_of_many_runs_whose_keys_let_it_fail_is_not_told_to_begin_another(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.process_logs.mkdir()
    run.child_log.touch()
    run.metrics_file.write_text("{}")
    with pytest.raises(NotFiniteError, match=r"^loss is nan; nothing was saved yet$"), failures_say_what_is_saved(run):
        raise NotFiniteError("loss is nan")


@pytest.mark.parametrize(
    ("names", "said"), [((), "nothing was saved yet"), (("000001",), "the last checkpoint is intact")]
)
def test_a_full_disk_is_one_line_that_says_whether_there_is_a_checkpoint(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    run = RunDir(tmp_path / "run")
    for name in names:
        (run.checkpoints / name).mkdir(parents=True)
    with (
        pytest.raises(RunDirError, match=f"run: the disk is full: make room; {said}$"),
        disk_errors_as_run_dir_error(run),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_traceback_of_the_users_code_is_in_the_runs_log(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    said = r"^the task raised ValueError; its traceback is in .*native\.log$"
    with pytest.raises(EnvironmentFailedError, match=said), tracebacks_are_kept(run):
        raise EnvironmentFailedError("the task raised ValueError", traceback="Traceback: line 7")
    assert run.native_log.read_text() == "Traceback: line 7"
    with pytest.raises(EnvironmentFailedError, match=r"^its process has ended$"), tracebacks_are_kept(run):
        raise EnvironmentFailedError("its process has ended")


def test_a_traceback_that_can_t_be_kept_hides_no_error(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.native_log.mkdir()
    said = r"^the task raised ValueError; its traceback can't be kept: Is a directory$"
    with pytest.raises(EnvironmentFailedError, match=said), tracebacks_are_kept(run):
        raise EnvironmentFailedError("the task raised ValueError", traceback="Traceback: line 7")


def refused(run: RunDir, error: UserError, *files: str) -> list[str]:
    """What is there after a run was refused, in which `files` had been written by then."""
    with pytest.raises(type(error)), claimed_to_train(run, tiny()):
        run.native_log.touch()
        run.scratch.mkdir(exist_ok=True)
        (run.scratch / "items").touch()
        for name in files:
            (run.path / name).touch()
        raise error
    return sorted(each.name for each in run.path.rglob("*") if not each.is_dir())


def test_of_a_new_run_that_is_refused_nothing_is_left(tmp_path: Path) -> None:
    refused(RunDir(tmp_path / "runs" / "run"), TaskError("one action"))
    assert not list(tmp_path.iterdir())
    (tmp_path / "run").mkdir()
    assert refused(RunDir(tmp_path / "run"), TaskError("one action")) == [] and (tmp_path / "run").is_dir()


def test_what_another_process_has_taken_over_is_left_to_it(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(TaskError, match=r"^one action$"), claimed_to_train(run, tiny()):
        run.lock_file.write_text("{}")  # as by a process that takes this one, stopped for a while, for dead
        raise TaskError("one action")
    assert run.config_file.exists()


def test_where_there_are_folders_of_others_it_stays_a_run_directory(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(TaskError), claimed_to_train(run, tiny()):
        (run.path / "notes").mkdir()
        raise TaskError("one action")
    run.refuse_early(tiny())
    assert run.config_file.exists()


def test_what_can_t_be_removed_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(TaskError, match=r"^one action$"), claimed_to_train(RunDir(tmp_path / "run"), tiny()):
        monkeypatch.setattr(Path, "unlink", refuse)
        raise TaskError("one action")


def test_a_run_directory_that_can_t_be_made_is_still_one_line() -> None:
    with pytest.raises(RunDirError, match="can't be created or written: "), claimed_to_train(RunDir("x" * 300), tiny()):
        pass


def test_of_a_run_that_had_begun_or_has_more_to_say_everything_is_left(tmp_path: Path) -> None:
    always = ["config.toml", "items", "lock", "lock", "native.log"]
    failed = EnvironmentFailedError("the task raised", traceback="Traceback: line 7")
    assert refused(RunDir(tmp_path / "failed"), failed) == always
    assert refused(RunDir(tmp_path / "failed"), TaskError("one action")) == always  # it was there before
    for name in "metrics.jsonl", "processes/worker-0.log", "notes":
        run = RunDir(tmp_path / Path(name).stem)
        assert refused(run, TaskError("one action"), name) == sorted([*always, Path(name).name])


def test_a_file_in_the_way_of_a_run_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = f"file/run can't be created or written: {tmp_path}/file is not a directory$"
    with pytest.raises(RunDirError, match=said), claimed_to_train(RunDir(tmp_path / "file" / "run"), tiny()):
        pass


@pytest.mark.parametrize(
    ("error", "why", "why_it_stopped"),
    [
        (TaskError("the task\n raised"), "the task raised", ""),
        (ValueError("something broke"), "ValueError: something broke", ""),
        (TaskError("caf\udce9.rom is missing"), "caf\\xe9.rom is missing", ""),
        (PeerLostError("a worker is silent"), "", "a worker is silent"),  # it is started again
        (KeyboardInterrupt(), "", ""),
    ],
)
def test_why_a_run_failed_is_kept_until_it_is_claimed_again(
    tmp_path: Path, error: BaseException, why: str, why_it_stopped: str
) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(type(error)), failures_are_kept(run), run.claim_alone(tiny()):
        raise error
    assert (why_failed(run.end_file), why_stopped(run.end_file)) == (why, why_it_stopped)
    with run.claim_alone(tiny()):
        assert not run.end_file.exists()
    assert not run.end_file.exists()


def test_what_is_refused_before_the_claim_is_no_failure_of_the_run(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with RunDir(run.path).claim_alone(tiny()):
        with pytest.raises(RunDirError, match="in use"), failures_are_kept(run), run.claim_alone(tiny()):
            pass
        assert not run.end_file.exists()
    with pytest.raises(TaskError), failures_are_kept(run), claimed_to_train(RunDir(tmp_path / "new"), tiny()):
        raise TaskError("one action")
    assert not run.end_file.exists() and not (tmp_path / "new").exists()


def test_of_a_new_run_that_is_refused_no_failure_is_kept(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(TaskError), failures_are_kept(run), claimed_to_train(run, tiny()):
        raise TaskError("one action")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("is_saved", "why"), [(True, "it was asked to end"), (False, "it is stuck")])
def test_a_sudden_end_does_not_replace_a_stop_that_is_saved(tmp_path: Path, is_saved: bool, why: str) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim_alone(tiny()):
        keep_stop(run, "it was asked to end", is_saved=is_saved)
        keep_sudden_end(run, "it is stuck")
    assert read_end(run.end_file) == RunEnd(Outcome.STOPPED, is_saved, why)


def test_a_failure_while_a_run_is_stopped_stays(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.end_file.parent.mkdir(parents=True)
    keep_interruption(run, is_saved=True)
    assert why_stopped(run.end_file) == "it was interrupted by the program that trained it"
    keep_failure(run, "the disk is full")
    keep_interruption(run, is_saved=True)
    assert read_end(run.end_file) == RunEnd(Outcome.FAILED, False, "the disk is full")


def test_a_sudden_end_is_none_of_a_run_that_another_process_has_taken_over(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim_alone(tiny()):
        run.lock_file.write_text("{}")  # as by a process that takes this one, stopped for a while, for dead
        with pytest.raises(RunDirError):
            run.confirm_claim()  # which the lock notices by itself within a second
        keep_sudden_end(run, "it is stuck")
        assert why_stopped(run.end_file) == ""
