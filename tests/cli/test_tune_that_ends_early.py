"""The verb `tune` where the search can't begin or go on: one line, and the command that goes on."""

import errno
import os
import shlex
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError

from tests.cli.test_tune import tune
from tfdqn.system.shell_commands import own_command
from tfdqn.tuning import trial_runs as search_module

pytestmark = pytest.mark.usefixtures("search_files")


def test_more_fresh_seeds_than_there_are_is_refused_before_the_search(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("small.toml space.toml seed=2147483645 --study-dir here") == 2
    line = "tfdqn: --fresh-seeds 3: seed = 2147483648: must be a whole number from 0 to 2147483647\n"
    assert capsys.readouterr().err == line
    assert not Path("here").exists()
    assert tune("small.toml space.toml seed=2147483647 --study-dir here --trials 1 --fresh-seeds 0") == 0


def test_a_disk_that_a_trial_finds_full_is_one_line_and_the_command_to_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert tune("small.toml space.toml --trials 1 --fresh-seeds 0 --study-dir here") == 0
    Path("here/do-001").write_text("fill")
    command = "tune small.toml space.toml --study-dir here --trials 2 --pruner median --fresh-seeds 0"
    assert tune(command.removeprefix("tune ")) == 2
    written = capsys.readouterr()
    why = "here/trials/001: the disk is full: make room; nothing was saved yet"
    assert written.err == f"tfdqn: the search has to end: trial 1 has stopped: {why}\n"
    assert written.out.splitlines()[-2:] == ["To go on:", own_command(shlex.split(command))]
    Path("here/do-001").unlink()
    assert tune(command.removeprefix("tune ")) == 0
    assert "trial 1 is complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "here: the disk is full: make room"),
        (StorageInternalError("server closed"), "the storage of the study in here fails: server closed"),
    ],
    ids=["a full disk", "a database"],
)
def test_a_study_whose_storage_fails_names_its_folder_and_the_command_to_go_on(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(search_module, "search", fail)
    assert tune("small.toml space.toml --study-dir here --trials 2 --pruner median --fresh-seeds 0") == 2
    written = capsys.readouterr()
    assert written.err == f"tfdqn: {said}\n"
    again = "tune small.toml space.toml --study-dir here --trials 2 --pruner median --fresh-seeds 0"
    assert written.out.splitlines()[-2:] == ["To go on:", own_command(shlex.split(again))]
