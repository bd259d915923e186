"""A run whose directory is moved while it is used says so, and nothing makes the directory again."""

from pathlib import Path

import pytest

from tfdqn.config import Config
from tfdqn.errors import RunDirError
from tfdqn.storage.failures import disk_errors_as_run_dir_error, keep_stop
from tfdqn.storage.run_directory import RunDir


def test_a_directory_that_is_moved_while_it_is_used_is_one_line(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        run.check_claim()
        run.path.rename(tmp_path / "elsewhere")
        with pytest.raises(RunDirError, match=r"run is gone: it was moved or removed while this process used it$"):
            run.check_claim()
        with pytest.raises(RunDirError, match="run is gone"), disk_errors_as_run_dir_error(run):
            run.metrics_file.open("a")
        with pytest.raises(FileNotFoundError, match="another"), disk_errors_as_run_dir_error(RunDir(tmp_path / "new")):
            (tmp_path / "no" / "another").open("a")
    keep_stop(run, "it was interrupted by SIGINT", is_saved=False)
    assert not run.path.exists()  # not even for how it has ended


def test_so_it_is_for_a_process_of_the_run_that_has_no_claim(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    run.config_file.touch()
    with pytest.raises(RunDirError, match=r"run is gone: it was moved"), disk_errors_as_run_dir_error(run):
        run.check_exists()
        run.path.rename(tmp_path / "elsewhere")
        run.metrics_file.open("a")
