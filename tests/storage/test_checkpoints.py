"""Checkpoints: what was saved comes back; what is damaged is passed over aloud; what is not ours stays."""

import errno
import json
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET

from tests.support.checkpoints import holds, save
from tfdqn.errors import CheckpointError
from tfdqn.storage.arrays import add_prefix, with_prefix
from tfdqn.storage.checkpoint_names import checkpoints_in
from tfdqn.storage.checkpoints import Checkpoint, CheckpointManager

Damage = Callable[[Path], None]


def flip_a_byte(file: str) -> Damage:
    def damage(checkpoint: Path) -> None:
        content = bytearray((checkpoint / file).read_bytes())
        content[len(content) // 2] ^= 1
        (checkpoint / file).write_bytes(content)

    return damage


def truncate(file: str) -> Damage:
    return lambda checkpoint: os.truncate(checkpoint / file, (checkpoint / file).stat().st_size // 2)


def remove(file: str) -> Damage:
    return lambda checkpoint: (checkpoint / file).unlink()


def empty(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)
    checkpoint.mkdir()


DAMAGES: dict[str, Damage] = {
    "a flipped byte in the weights": flip_a_byte("learner.npz"),
    "a flipped byte in the replay": flip_a_byte("replay/table.npz"),
    "a torn file": truncate("actor.npz"),
    "a missing file": remove("actor.npz"),
    "a torn manifest": truncate("manifest.json"),
    "no manifest": remove("manifest.json"),
    "an empty directory": empty,
}


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert CheckpointManager(tmp_path / "none yet").latest() is None


def test_the_latest_is_what_was_saved_last(tmp_path: Path) -> None:
    saved = CheckpointManager(tmp_path / "checkpoints")
    for value in (1, 2):
        save(saved, value)
        assert holds(saved.latest(), value)
        assert holds(CheckpointManager(tmp_path / "checkpoints").latest(), value)


def test_arrays_that_were_not_saved_are_a_checkpoint_error_in_one_line(tmp_path: Path) -> None:
    checkpoint = Checkpoint(save(CheckpointManager(tmp_path), 1))
    learner, actor = checkpoint.arrays("learner"), with_prefix("deeper", checkpoint.arrays("actor"))
    with pytest.raises(CheckpointError, match=r"000001/writer\.npz: there is no such file$"):
        checkpoint.arrays("writer")
    with pytest.raises(CheckpointError, match=r"000001/learner\.npz: it has no array 'online/q/bias'$"):
        learner["online/q/bias"]
    with pytest.raises(CheckpointError, match=r"000001/actor\.npz: it has no array 'rng'$"):
        actor["rng"]
    assert learner.get("online/q/bias") is None


def test_arrays_below_a_name_lose_it() -> None:
    found = with_prefix("a", {"a/b": np.ones(1), "a/b/c": np.zeros(1), "ab/c": np.zeros(1), "a": np.zeros(1)})
    assert found.keys() == {"b", "b/c"}
    assert add_prefix("a", found).keys() == {"a/b", "a/b/c"}


def test_where_one_name_is_read_only_its_file_must_be_whole(tmp_path: Path) -> None:
    saved = CheckpointManager(tmp_path)
    save(saved, 1)
    checkpoint = save(saved, 2)
    flip_a_byte("replay/table.npz")(checkpoint)
    said: list[str] = []
    latest = saved.latest(said.append, names=["learner"])
    assert latest is not None and latest.directory == checkpoint and said == []
    flip_a_byte("learner.npz")(checkpoint)
    assert holds(saved.latest(said.append, names=["learner"]), 1)
    assert len(said) == 1 and "000002: learner.npz is damaged" in said[0]


def test_directories_that_are_not_ours_stay_and_disturb_nothing(tmp_path: Path) -> None:
    for name in ("5", "12345", "999999-copy", "٣٣٣٣٣٣"):
        (tmp_path / name).mkdir(parents=True)
    saved = CheckpointManager(tmp_path, keep=1)
    for value in (1, 2):
        assert save(saved, value).name == f"{value:06d}"
    assert {path.name for path in tmp_path.iterdir()} == {"5", "12345", "999999-copy", "٣٣٣٣٣٣", "000002"}
    said: list[str] = []
    assert holds(saved.latest(said.append), 2)
    assert said == []


def test_numbers_of_more_digits_are_newer(tmp_path: Path) -> None:
    saved = CheckpointManager(tmp_path)
    save(saved, 1).rename(tmp_path / "999999")
    assert save(saved, 2).name == "1000000"
    assert holds(saved.latest(), 2)
    assert save(saved, 3).name == "1000001"
    assert not (tmp_path / "999999").exists()


def test_a_checkpoint_that_can_not_be_removed_does_not_fail_the_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, rename = CheckpointManager(tmp_path, keep=1), Path.rename

    def refuses_the_old(self: Path, target: Path) -> Path:
        if target.name.endswith("-old"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(self, target)

    save(saved, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuses_the_old)
        assert save(saved, 2).name == "000002"
    assert holds(saved.latest(), 2)
    save(saved, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["000003"]


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    saved = CheckpointManager(tmp_path, keep=2)
    for value in range(1, 6):
        save(saved, value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000004", "000005"]
    save(CheckpointManager(tmp_path, keep=1), 6)
    assert [path.name for path in tmp_path.iterdir()] == ["000006"]


def test_a_damaged_checkpoint_takes_no_intact_ones_place(tmp_path: Path) -> None:
    for value in (1, 2):
        last = save(CheckpointManager(tmp_path), value)
    flip_a_byte("learner.npz")(last)
    resumed = CheckpointManager(tmp_path, keep=2)
    assert holds(resumed.latest(), 1)
    save(resumed, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001", "000002", "000003"]
    save(resumed, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000002", "000003", "000004"]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_passed_over_aloud(tmp_path: Path, damage: Damage) -> None:
    saved = CheckpointManager(tmp_path)
    save(saved, 1)
    damage(save(saved, 2))
    said: list[str] = []
    assert holds(saved.latest(said.append), 1)
    assert len(said) == 1
    assert "000002" in said[0]
    assert "\n" not in said[0]
    assert (tmp_path / "000002").exists()
    save(saved, 3)  # under a number of its own
    assert holds(saved.latest(), 3)


def test_when_every_checkpoint_is_damaged_that_is_an_error(tmp_path: Path) -> None:
    saved = CheckpointManager(tmp_path)
    for value in (1, 2):
        flip_a_byte("learner.npz")(save(saved, value))
    said: list[str] = []
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        saved.latest(said.append)
    assert len(said) == 2


def test_a_flipped_byte_of_a_manifest_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    checkpoint = save(CheckpointManager(tmp_path), 1)
    manifest = checkpoint / "manifest.json"
    whole = manifest.read_bytes()
    for i in range(len(whole)):
        for mask in (1, 0x80):
            manifest.write_bytes(whole[:i] + bytes([whole[i] ^ mask]) + whole[i + 1 :])
            with pytest.raises(CheckpointError):
                Checkpoint(checkpoint)


def test_a_manifest_of_a_version_that_did_not_keep_what_owes_no_updates_is_whole(tmp_path: Path) -> None:
    made = save(CheckpointManager(tmp_path), 1)
    assert "exempt_transitions" not in (made / "manifest.json").read_text()
    assert Checkpoint(made).counters.exempt_transitions is UNSET


def test_a_checkpoint_that_a_later_save_has_removed_is_as_old_as_it_was(tmp_path: Path) -> None:
    saved = CheckpointManager(tmp_path, keep=1)
    first = Checkpoint(save(saved, 1))
    save(saved, 2)
    age = first.age_seconds
    assert not first.directory.exists() and age is not None and age >= 0


def test_a_save_that_removes_what_is_just_read_leaves_another_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(directory: Path) -> list[Path]:
        """Another process saves two more between the first look and the reading."""
        monkeypatch.undo()
        found = checkpoints_in(directory)
        for value in (2, 3):
            save(saved, value)
        return found

    save(saved := CheckpointManager(tmp_path, keep=1), 1)
    monkeypatch.setattr("tfdqn.storage.checkpoints.checkpoints_in", look)
    said: list[str] = []
    assert holds(CheckpointManager(tmp_path).latest(said.append), 3)
    assert said == []


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (31, "31 s old"),
        (119, "119 s old"),
        (7_100, "118 min old"),
        (7_500, "2 h old"),
        (100_000, "28 h old"),
        (1_000_000, "12 days old"),
        (-0.5, "0 s old"),
        (-90, "dated 90 s in the future"),
    ],
)
def test_a_checkpoint_says_where_it_resumes_and_how_old_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, age: str
) -> None:
    written = 1_700_000_000.0
    monkeypatch.setattr("time.time", lambda: written)
    saved = Checkpoint(save(CheckpointManager(tmp_path), 1_234))
    monkeypatch.setattr("time.time", lambda: written + seconds)
    assert saved.where_it_resumes() == (
        f"resumed at {saved.counters.env_steps:,} environment steps and {saved.counters.train_steps:,} updates "
        f"(checkpoint {age})"
    )


def test_a_copy_is_as_old_as_what_was_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    made = save(CheckpointManager(tmp_path), 1)
    os.utime(made, (1_800_000_000.0, 1_800_000_000.0))  # as `cp -r` does
    monkeypatch.setattr("time.time", lambda: 1_700_000_060.0)
    assert Checkpoint(made).where_it_resumes().endswith("(checkpoint 60 s old)")


def test_of_a_checkpoint_that_does_not_say_when_it_was_written_no_age_is_said(tmp_path: Path) -> None:
    made = save(CheckpointManager(tmp_path), 1_234)
    written = json.loads((made / "manifest.json").read_text())
    old = {"counters": written["counters"], "files": written["files"], "crc32": 0}
    old["crc32"] = zlib.crc32(json.dumps(old, separators=(",", ":")).encode())
    (made / "manifest.json").write_text(json.dumps(old))
    found = Checkpoint(made)
    assert found.age_seconds is None
    assert found.where_it_resumes() == "resumed at 1,234 environment steps and 2,468 updates"
