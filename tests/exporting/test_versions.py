"""Versions are whole or not there, count up, and what a killed export left goes with the next."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.policies import network_of, task
from tfdqn.errors import CheckpointError, UserError
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.exporting.saved_model import export_policy
from tfdqn.exporting.versions import exports_folder, next_version, publish, require_free, unfinished_version, versions
from tfdqn.storage.best_policy import require_policy
from tfdqn.storage.locks import locked
from tfdqn.storage.run_directory import RunDir


def test_versions_count_up_and_never_replace_one_another(tmp_path):
    spec, network = task(), network_of(task())
    (tmp_path / "notes").mkdir()
    (tmp_path / "9").mkdir()
    paths = [export_policy(spec, network, tmp_path, {"checkpoint": "best"}) for _ in range(2)]
    assert [path.name for path in paths] == ["10", "11"]
    assert versions(tmp_path) == [9, 10, 11]
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_of_a_run_without_versions_it_is_said_how_one_is_made(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.config_file.touch()
    train = f"and no policy yet to export; `tfdqn train {run.config_file}` trains it"
    with pytest.raises(UserError, match=f"^{tmp_path} has no exported version, {train}$"):
        exports_folder(tmp_path)
    (run.checkpoints / "000007").mkdir(parents=True)
    with pytest.raises(UserError, match=f"version; `tfdqn export {tmp_path} --checkpoint latest` writes one$"):
        exports_folder(tmp_path)
    run.best.mkdir()
    run.best_weights.touch()
    with pytest.raises(UserError, match=f"version; `tfdqn export {tmp_path}` writes one$"):
        exports_folder(tmp_path)


@pytest.mark.parametrize("lock", ["lock_file", "supervisor_lock_file"])
def test_of_a_run_in_training_without_a_policy_it_is_said_what_to_wait_for(lock: str, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.task_file.touch()
    run.config_file.touch()
    wait = f"process {os.getpid()} is training it; wait for its first evaluation"
    none = f"no policy yet to export: {wait}, then `tfdqn export {tmp_path}` writes one"
    with locked(getattr(run, lock), tmp_path):
        with pytest.raises(UserError, match=f"^{tmp_path} has no exported version, and {none}$"):
            exports_folder(tmp_path)
        with pytest.raises(UserError, match=f"^{tmp_path} has no exported policy, and {none}$"):
            load_policy(tmp_path)
        with pytest.raises(CheckpointError, match=f"has no evaluated policy yet, and no checkpoint: {wait}$"):
            require_policy(run, "best")
        with pytest.raises(CheckpointError, match=f"yet: process {os.getpid()} is .*; wait for its first checkpoint$"):
            require_policy(run, "latest")
        (run.checkpoints / "000007").mkdir(parents=True)
        with pytest.raises(CheckpointError, match=f"yet: {wait}, or try --checkpoint latest "):
            require_policy(run, "best")


def test_only_folders_with_the_number_as_it_is_written_are_versions(tmp_path: Path) -> None:
    for name in ("0", "3", "007", "٤", "x"):
        (tmp_path / name).mkdir()
    (tmp_path / "8").write_text("a file")
    assert versions(tmp_path) == [0, 3]
    assert next_version(tmp_path) == 9  # what is there is in the way of a version, too
    with unfinished_version(tmp_path) as unfinished:
        assert publish(unfinished) == tmp_path / "9"


def test_what_a_killed_export_leaves_has_no_final_name_and_goes_with_the_next(tmp_path):
    script = f"""
        import os, pathlib
        from tfdqn.exporting import versions
        def stop(path):
            os.kill(os.getpid(), {int(signal.SIGKILL)})
        versions.sync_tree = stop
        with versions.unfinished_version(pathlib.Path({str(tmp_path)!r})) as unfinished:
            (unfinished / "saved_model.pb").touch()
            versions.publish(unfinished)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=240, cwd=Path.cwd())
    assert killed.returncode == -signal.SIGKILL
    left = [entry.name for entry in tmp_path.iterdir()]
    assert left and all(name.startswith(".") for name in left)
    assert versions(tmp_path) == []
    export_policy(task(), network_of(task()), tmp_path, {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["1"]


def test_an_export_that_is_under_way_is_left_alone(tmp_path):
    with unfinished_version(tmp_path) as unfinished:
        export_policy(task(), network_of(task()), tmp_path, {})
        assert unfinished.exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["1"]


def test_a_folder_that_can_not_be_made_is_named_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    require_free(Path("h"))

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tfdqn.storage.atomic_files.TemporaryFile", fail)
    with pytest.raises(UserError, match=r"^h can't be created or written: Permission denied$"):
        require_free(Path("h"))
