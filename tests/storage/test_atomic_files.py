"""Files that outlive a crash of the machine: whole or not there, and on the disk before they are named."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfdqn.errors import RunDirError
from tfdqn.storage.arrays import save_arrays
from tfdqn.storage.atomic_files import is_full_disk, replacing, sync_tree, write_atomically


def contents(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def test_a_file_is_written_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "new" / "best.json"
    for data in (b"one", b"two"):
        write_atomically(file, data)
        assert contents(tmp_path) == {"new/best.json": data}


def test_two_that_write_the_same_file_do_not_meet(tmp_path: Path) -> None:
    file = tmp_path / ("long" * 60)
    with replacing(file) as first:
        first.write(b"first")
        with replacing(file) as second:
            second.write(b"second")
        assert file.read_bytes() == b"second"
        first.write(b", and last")
    assert contents(tmp_path) == {file.name: b"first, and last"}


def test_a_name_that_begins_with_another_is_not_taken_for_it(tmp_path: Path) -> None:
    longer, shorter = tmp_path / "model.json", tmp_path / "model"
    with replacing(longer) as file:
        file.write(b"long")
        write_atomically(shorter, b"short")
    assert contents(tmp_path) == {"model.json": b"long", "model": b"short"}


def test_a_name_may_have_as_many_bytes_as_the_system_takes(tmp_path: Path) -> None:
    file = tmp_path / ("€" * 85)
    write_atomically(file, b"euros")
    assert contents(tmp_path) == {file.name: b"euros"}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "best.json"
    write_atomically(file, b"old")
    monkeypatch.setattr(os, step, full_disk)
    with pytest.raises(RunDirError, match=r"best\.json couldn't be written: No space left on device: make room$"):
        write_atomically(file, b"new")
    assert contents(tmp_path) == {"best.json": b"old"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_share_is_known_by_its_number_and_in_the_words_of_c(number: int) -> None:
    assert is_full_disk(OSError(number, ""))
    assert is_full_disk(RuntimeError(f"RESOURCE_EXHAUSTED: chunks.tfrecord; {os.strerror(number)}"))
    assert not is_full_disk(OSError(errno.EIO, os.strerror(errno.EIO)))


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


@pytest.mark.parametrize("refused", ["directories", "files"])
def test_a_file_system_may_not_sync_directories_but_must_sync_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}") == (refused == "directories"):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    if refused == "files":
        with pytest.raises(RunDirError, match="couldn't be written: Invalid argument"):
            write_atomically(tmp_path / "best.json", b"new")
    else:
        write_atomically(tmp_path / "best.json", b"new")
        sync_tree(tmp_path)
        assert contents(tmp_path) == {"best.json": b"new"}


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    (pipe := tmp_path / "pipe").parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    with pytest.raises(RunDirError, match="pipe couldn't be written: it is a device or a pipe"):
        write_atomically(pipe, b"figures")
    assert pipe.is_fifo()
