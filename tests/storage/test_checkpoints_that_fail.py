"""A checkpoint is whole or not there: a kill at any moment and a full disk cost nothing but the new one."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.checkpoints import arrays, holds, save
from tests.support.disks import small_disk
from tfdqn.errors import CheckpointError
from tfdqn.records import Counters
from tfdqn.storage.arrays import save_arrays
from tfdqn.storage.checkpoints import Checkpoint, CheckpointManager
from tfdqn.storage.run_directory import RunDir


def test_what_a_killed_process_left_half_written_is_ignored_and_removed(tmp_path: Path) -> None:
    saved = CheckpointManager(tmp_path)
    save(saved, 1)
    shutil.copytree(tmp_path / "000001", tmp_path / ".saving-000002")
    (tmp_path / ".saving-000000-old").mkdir()
    assert holds(saved.latest(), 1)
    save(saved, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001", "000002"]


def test_a_process_killed_at_any_moment_of_saving_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    """Every call that changes the disk fails in turn, like a kill: without any cleaning up."""

    class Killed(BaseException):
        pass

    saved = CheckpointManager(tmp_path, keep=1)
    rmtree: Callable = shutil.rmtree
    save(saved, 1)
    value, moments = 1, 0
    while True:
        left = moments
        with pytest.MonkeyPatch.context() as patch:

            def dying(real: Callable) -> Callable:
                def call(*args: object, **kwargs: object) -> object:
                    nonlocal left
                    if left == 0:
                        if real is rmtree:  # half-way: the first file is gone already
                            (Path(str(args[0])) / "manifest.json").unlink(missing_ok=True)
                        raise Killed
                    left -= 1
                    return real(*args, **kwargs)

                return call

            for name in ("rename", "replace", "mkdir", "write_bytes"):
                patch.setattr(Path, name, dying(getattr(Path, name)))
            patch.setattr(os, "fsync", dying(os.fsync))
            patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
            try:
                save(saved, value + 1)
                break
            except Killed:
                moments += 1
        whole = [Checkpoint(path) for path in tmp_path.iterdir() if path.name.isdecimal()]
        latest = saved.latest()
        assert latest is not None
        assert latest.directory in [each.directory for each in whole]
        assert latest.counters.env_steps in (value, value + 1)
        assert holds(latest, latest.counters.env_steps)
        value = latest.counters.env_steps
    assert moments > 15


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("owner", "name"),
    [(np.lib.format, "write_array"), (Path, "mkdir"), (Path, "write_bytes"), (os, "fsync"), (Path, "rename")],
)
def test_a_full_disk_is_said_and_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    saved = CheckpointManager(tmp_path)
    save(saved, 1)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, no_space)
        with pytest.raises(
            CheckpointError,
            match=r"the disk is full: make room; the checkpoint needs .*; the last one, 000001, is intact",
        ):
            save(saved, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["000001"]
    assert holds(saved.latest(), 1)
    save(saved, 2)
    assert holds(saved.latest(), 2)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (CheckpointError("replay.npz can't be written: No space left on device"), "the disk is full: .*"),
        (RuntimeError("Reverb: INTERNAL: no\nStack: …"), "Reverb: INTERNAL: no"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_replay_that_can_not_be_written_leaves_no_half_checkpoint(tmp_path: Path, error: Exception, why: str) -> None:
    def fail(directory: Path) -> None:
        raise error

    with pytest.raises(CheckpointError, match=f"{why}; there is no earlier one"):
        CheckpointManager(tmp_path).save(Counters(), arrays(1), fail)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, "512k") as disk:
        yield disk


def test_a_disk_that_is_really_full_leaves_the_earlier_checkpoint(tiny_disk: Path) -> None:
    saved = CheckpointManager(tiny_disk)
    save(saved, 1)
    with pytest.raises(
        CheckpointError,
        match=r"full: make room; the checkpoint needs at least 8\.4 MB; the last one, 000001, is intact",
    ):
        saved.save(Counters(), {"learner": {"online/kernel": np.zeros(1 << 20)}}, lambda directory: None)
    with pytest.raises(CheckpointError, match=r"full: make room; the checkpoint needs at least 0\.\d MB"):
        saved.save(Counters(), {}, lambda d: save_arrays(d / "table.npz", {"rows": np.zeros(1 << 20, np.uint8)}))
    assert [path.name for path in tiny_disk.iterdir()] == ["000001"]
    assert holds(saved.latest(), 1)
    save(saved, 2)  # room again
    assert holds(saved.latest(), 2)


def test_a_folder_that_can_not_be_listed_is_said_and_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    saved, run = CheckpointManager(tmp_path / "checkpoints"), RunDir(tmp_path)
    save(saved, 1)
    monkeypatch.setattr(Path, "iterdir", fail)
    for look in (lambda: save(saved, 2), saved.latest, lambda: run.has_checkpoint, lambda: run.has_learned):
        with pytest.raises(CheckpointError, match=f"^{tmp_path}/checkpoints: can't be listed: Permission denied$"):
            look()
