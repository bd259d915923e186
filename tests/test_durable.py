"""Files that outlive a crash of the machine: whole or not there, and on the disk before they are named."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfdqn.checkpoints import save_arrays
from tfdqn.durable import sync_tree, write_atomically
from tfdqn.errors import RunDirError


def contents(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def test_a_file_is_written_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "new" / "best.json"
    for data in (b"one", b"two"):
        write_atomically(file, data)
        assert contents(tmp_path) == {"new/best.json": data}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "best.json"
    write_atomically(file, b"old")
    monkeypatch.setattr(os, step, full_disk)
    with pytest.raises(RunDirError, match=r"best\.json couldn't be written: No space left on device"):
        write_atomically(file, b"new")
    assert contents(tmp_path) == {"best.json": b"old"}


@pytest.mark.parametrize(
    "write",
    [lambda path: write_atomically(path, b"new"), lambda path: save_arrays(path, {"a": np.ones(1)})],
    ids=["bytes", "arrays"],
)
def test_content_is_on_the_disk_before_the_name_and_the_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    done: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        synced = os.readlink(f"/proc/self/fd/{descriptor}")
        done.append("the directory" if Path(synced) == tmp_path else "the content")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        done.append("the name")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write(tmp_path / "best")
    assert done == ["the content", "the name", "the directory"]


def test_a_tree_is_synced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("content")
    synced: set[str] = set()
    monkeypatch.setattr(os, "fsync", lambda each: synced.add(os.readlink(f"/proc/self/fd/{each}")))
    sync_tree(tmp_path)
    assert synced == {str(each) for each in [tmp_path, *tmp_path.rglob("*")]}
