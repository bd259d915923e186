"""Whatever ends training before its time says which command goes on with it, for each verb that trains."""

import errno
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Recorder
from tests.support.studies import searched
from tfdqn.cli import main
from tfdqn.config.toml import dump
from tfdqn.errors import ClusterError, EnvironmentFailedError, RefusedProcessError, RunDirError
from tfdqn.launch import local_job
from tfdqn.storage.failures import keep_failure
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_folders import SeedsFolder
from tfdqn.system.signals import end_at_once
from tfdqn.tuning import trial_runs

COMMANDS = {
    "train": "tfdqn train small.toml --run-dir here",
    "seeds": "tfdqn train small.toml --seeds 1-2 --run-dir here",
    "launch": "tfdqn launch small.toml --run-dir here",
    "tune": "tfdqn tune small.toml space.toml --study-dir here --trials 3 --pruner median --fresh-seeds 0",
}
NO_ROOM = "No space left on device"
Train = Callable[[str, Any, bool], int]

# In `training.prerequisites`: what looks at the task before the work begins.
_CHECKS = {"train": "require_trainable", "launch": "require_fitting_task"}


@pytest.fixture
def train(behind: Callable[..., Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Gives a command whose work raises what it is given, or calls it, maybe after a checkpoint; returns its status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    Path("small.toml").write_text(dump(searched()))
    Path("space.toml").write_text('"agent.n_step" = { low = 1, high = 5 }\n')

    def given(command: str, end: Any, has_checkpoint: bool) -> int:
        def work(*_: object, **__: object) -> None:
            if has_checkpoint:
                run = SeedsFolder("here").run(2) if command == "seeds" else RunDir("here")
                (run.checkpoints / "000001").mkdir(parents=True)
                run.config_file.touch()
            if isinstance(end, Exception):
                raise end
            end()

        behind("training.train", "train_checked", work)
        behind("training.prerequisites", _CHECKS.get(command, "require_trainable_runs"))
        behind("tuning.seeds", "train_seeds", work)
        monkeypatch.setattr(local_job, "launch", work)
        monkeypatch.setattr(trial_runs, "search", work)
        return main.main(shlex.split(COMMANDS[command])[1:])

    return given


def how(command: str, has_checkpoint: bool) -> list[str]:
    found = "To go on:" if command == "tune" else "To resume:" if has_checkpoint else "To begin again:"
    return [found, COMMANDS[command]]


def full_disk(directory: str) -> RunDirError:
    try:
        try:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        except OSError as error:
            raise RunDirError(f"{directory}: the disk is full") from error
    except RunDirError as error:
        return error


@pytest.mark.parametrize("command", COMMANDS)
def test_a_second_ctrl_c_says_how_to_go_on_and_reads_nothing(
    train: Train, command: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's disk may be what hangs."""

    class EndedError(Exception):
        """Stands in for the end of the process."""

    def end(status: int) -> None:
        raise EndedError(status)

    monkeypatch.setattr("os._exit", end)

    def hung(*_: object) -> bool:
        pytest.fail("the disk hangs")

    def end_while_the_disk_hangs() -> None:
        with monkeypatch.context() as disk:
            for name in ("exists", "is_dir", "is_file", "iterdir"):
                disk.setattr(Path, name, hung)
            end_at_once()

    with pytest.raises(EndedError, match="130"):
        train(command, end_while_the_disk_hangs, False)
    assert capfd.readouterr().out.splitlines()[-3:] == [
        "ended at once: what was not saved is lost",
        "To go on:",
        COMMANDS[command],
    ]


@pytest.mark.parametrize("has_checkpoint", [True, False])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_says_how_to_go_on(
    train: Train, command: str, has_checkpoint: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(command, full_disk("here"), has_checkpoint) == 2
    written = capsys.readouterr()
    assert written.err == "tfdqn: here: the disk is full\n"
    assert written.out.splitlines()[-2:] == how(command, has_checkpoint)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_that_nobody_has_put_into_words_does_too(
    train: Train, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(command, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), True) == 2
    written = capsys.readouterr()
    words = (
        "here: the disk is full: make room"
        if command == "tune"
        else f"the disk is full: make room ([Errno 28] {NO_ROOM})"
    )
    assert written.err == f"tfdqn: {words}\n"
    assert written.out.splitlines()[-2:] == how(command, True)


def test_another_error_of_the_disk_is_one_line(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("train", PermissionError(errno.EACCES, "Permission denied", "here"), False) == 2
    written = capsys.readouterr()
    assert written.err == "tfdqn: here can't be read or written: Permission denied\n"
    assert COMMANDS["train"] not in written.out


def test_what_is_to_be_corrected_in_a_process_comes_before_the_command(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("launch", RefusedProcessError("learner 0: the loss is NaN"), True) == 2
    assert capsys.readouterr().out.splitlines()[-2:] == ["Correct that first. To resume:", COMMANDS["launch"]]


@pytest.mark.parametrize("kind", [RefusedProcessError, ClusterError, RunDirError])
def test_a_job_that_would_fail_again_is_not_begun_again(
    train: Train, kind: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("here").mkdir()
    keep_failure(RunDir("here"), "the loss is NaN", needs_another_run=True)
    error = full_disk("here") if kind is RunDirError else kind("learner 0: the loss is NaN")
    assert train("launch", error, False) == 2
    written = capsys.readouterr()
    assert (written.out, written.err) == ("", f"tfdqn: {error}\n")


@pytest.mark.parametrize("command", ["train", "launch"])
@pytest.mark.parametrize("error", [ClusterError("actor 0 failed: given up"), EnvironmentFailedError("it is gone")])
def test_a_failure_of_what_a_run_needs_says_how_to_go_on(
    train: Train, command: str, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(command, error, True) == 2
    assert capsys.readouterr().out.splitlines()[-2:] == how(command, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_same_command_would_meet_again_is_one_line(
    train: Train, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(command, RunDirError("here is in use by process 7"), True) == 2
    written = capsys.readouterr()
    assert COMMANDS[command] not in written.out and written.err == "tfdqn: here is in use by process 7\n"


def test_last_words_are_of_the_work_that_is_going_on(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    assert train("train", full_disk("here"), False) == 2
    with pytest.MonkeyPatch.context() as stays:
        stays.setattr("os._exit", lambda status: None)
        end_at_once()
    assert capfd.readouterr().out.endswith("\nended at once: what was not saved is lost\n")
