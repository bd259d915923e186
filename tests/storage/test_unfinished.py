"""What a killed process left unfinished goes with the next; what may still be written stays."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tfdqn.storage.owners import this_process
from tfdqn.storage.unfinished import remove_abandoned, unfinished_path, writer_of


def make(path: Path, kind: str) -> None:
    if kind == "file":
        path.touch()
    else:
        (path / "variables").mkdir(parents=True)


def grow_old(path: Path) -> None:
    for each in (*path.rglob("*"), path):
        os.utime(each, (0, each.stat().st_mtime - 4000))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_writer_left_goes_with_the_next_or_if_it_cannot_be_seen_after_an_hour(
    tmp_path: Path, kind: str
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    marks = [
        msgspec.structs.replace(this_process(), pid=ended.pid, started=1).mark,
        msgspec.structs.replace(this_process(), kernel="another").mark,  # perhaps it still writes
    ]
    lefts = [tmp_path / f".best.{mark}-0bad.partial" for mark in marks]
    own, other = unfinished_path(tmp_path, ".best.", ".partial"), tmp_path / ".best.of.mine.partial"
    for left in (*lefts, own, other):
        make(left, kind)
    remove_abandoned(tmp_path, ".best.", ".partial")
    assert set(tmp_path.iterdir()) == {lefts[1], own, other}
    for left in (lefts[1], own, other):
        grow_old(left)
    remove_abandoned(tmp_path, ".best.", ".partial")
    assert set(tmp_path.iterdir()) == {own, other}


def test_of_a_folder_that_cannot_be_seen_every_file_is_looked_at(tmp_path: Path) -> None:
    left = tmp_path / f".export-{msgspec.structs.replace(this_process(), kernel='another').mark}-0badcafe"
    make(left, "folder")
    grow_old(left)
    (left / "variables" / "shard").touch()
    remove_abandoned(tmp_path, ".export-")
    assert left.exists()
    shutil.rmtree(left / "variables")
    grow_old(left)
    remove_abandoned(tmp_path, ".export-")
    assert not left.exists()


def test_where_any_writer_is_meant_what_names_none_goes_after_an_hour(tmp_path: Path) -> None:
    left, another = tmp_path / ".export-7-0badcafe", tmp_path / ".exports"
    for each in (left, another):
        make(each, "folder")
    remove_abandoned(tmp_path, ".export-", any_writer=True)
    assert left.exists()
    for each in (left, another):
        grow_old(each)
    remove_abandoned(tmp_path, ".export-", any_writer=True)
    assert set(tmp_path.iterdir()) == {another}


def test_what_can_not_be_removed_keeps_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / f".export-{msgspec.structs.replace(this_process(), kernel='another').mark}-0badcafe"
    make(left, "folder")
    for name in "abc":
        (left / name).touch()
    grow_old(left)
    unlink, refused = os.unlink, list[str]()

    def refuses_the_first(name: str, **named: int) -> None:
        if name in "abc" and (not refused or name in refused):
            refused.append(name)
            raise PermissionError(1, "Operation not permitted")
        unlink(name, **named)

    monkeypatch.setattr(os, "unlink", refuses_the_first)
    remove_abandoned(tmp_path, ".export-")
    assert [each.name for each in left.iterdir()] == refused


def test_a_path_says_who_writes_there_and_what(tmp_path: Path) -> None:
    path = unfinished_path(tmp_path, ".a.", ".partial")
    assert path != unfinished_path(tmp_path, ".a.", ".partial")
    assert writer_of(path, ".a.", ".partial") == msgspec.structs.replace(this_process(), host="")
    assert writer_of(path, ".a", ".partial") is writer_of(path, ".a.", ".part") is None
