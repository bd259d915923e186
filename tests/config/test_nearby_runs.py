"""What lies in a run, or holds runs, is not a run: the refusal says where the run is that was meant."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.policies import task
from tfdqn.config import Config, toml
from tfdqn.errors import UserError
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.exporting.versions import exports_folder
from tfdqn.reports.finished_runs import read_runs
from tfdqn.storage.run_directory import RunDir

_MISSING = "is not a run directory: no config.toml in it"
_FILE = "is a file, not a directory"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.chdir(tmp_path)
    found = RunDir("runs/pick")
    with found.claim(Config()):
        found.write_task_spec(task())
    (found.exports / "1").mkdir(parents=True)
    found.checkpoints.mkdir()
    (found.checkpoints / "1.npz").touch()
    found.best.mkdir()
    found.best_weights.touch()
    return found


@pytest.mark.parametrize(
    ("read", "path", "line"),
    [
        (lambda path: RunDir(path).config(), "exports/1", f"{_MISSING}; it belongs to the run runs/pick"),
        (lambda path: RunDir(path).config(), "checkpoints", f"{_MISSING}; it belongs to the run runs/pick"),
        (lambda path: RunDir(path).config(), "config.toml", f"{_FILE}; it belongs to the run runs/pick"),
        (lambda path: RunDir(path).config(), "exports/2", "doesn't exist"),
        (
            lambda path: RunDir(path).refuse_early(Config()),
            "checkpoints",
            "holds other files, such as 1.npz, and no run (config.toml is missing); it belongs to the run "
            "runs/pick: choose an empty or a new run directory (--run-dir, run_dir in Python)",
        ),
        (
            toml.load,
            "exports/1",
            ": is a directory, not a configuration file; that of the run it belongs to is runs/pick/config.toml",
        ),
        (
            lambda path: read_runs([path]),
            "exports/1",
            "is not a run directory, and has none in it; it belongs to the run runs/pick",
        ),
        (
            exports_folder,
            "checkpoints",
            "has no exported version; it belongs to the run runs/pick; `tfdqn export runs/pick` writes one",
        ),
        (exports_folder, "", "has no exported version; `tfdqn export runs/pick` writes one"),
        (exports_folder, "config.toml", f"{_FILE}; it belongs to the run runs/pick"),
        (load_policy, "checkpoints", "has no exported policy; it belongs to the run runs/pick; give a run"),
        (load_policy, "config.toml", f"{_FILE}; it belongs to the run runs/pick; give a run"),
        (lambda path: read_runs([path]), "config.toml", f"{_FILE}; it belongs to the run runs/pick"),
        (lambda path: read_runs([path]), "exports/2", "doesn't exist"),
    ],
)
def test_what_lies_in_a_run_is_answered_with_the_run(
    run: RunDir, read: Callable[[Path], Any], path: str, line: str
) -> None:
    whole = re.escape(str(run.path / path)) + " ?" + re.escape(line)
    with pytest.raises(UserError, match=f"^{whole}" + ("$" if line.endswith(("pick", "toml", "exist")) else "")):
        read(run.path / path)


def test_the_path_may_be_that_of_the_working_folder(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.path / "exports" / "1")
    with pytest.raises(UserError, match=rf"^\. {re.escape(_MISSING)}; it belongs to the run \.\./\.\.$"):
        RunDir(".").config()


def test_a_folder_with_a_configuration_of_that_name_is_no_run(run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    (tmp_path / "runs" / "other").mkdir()
    with pytest.raises(UserError, match=f"{re.escape(_MISSING)}$"):
        RunDir("runs/other").config()
    with pytest.raises(UserError, match=r"not a configuration file$"):
        toml.load("runs/other")


def test_a_folder_that_cannot_be_read_hides_no_runs_beside_it(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, is_file = Path("runs/closed"), Path.is_file
    closed.mkdir()

    def is_readable_file(path: Path) -> bool:
        if closed in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", is_readable_file)
    with pytest.raises(UserError, match=f"^runs {re.escape(_MISSING)}; it holds runs, such as runs/pick$"):
        RunDir("runs").config()
