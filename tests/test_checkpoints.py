"""Checkpoints: whole or not there; a damaged one is passed over aloud; a full disk costs nothing but itself."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tfdqn.checkpoints import Checkpoints, Counters, Generation, load_arrays, save_arrays
from tfdqn.errors import CheckpointError

Damage = Callable[[Path], None]


def arrays(value: int) -> dict[str, dict[str, np.ndarray]]:
    return {
        "learner": {
            "online/hidden_0/kernel": np.full((3, 2), value, np.float32),
            "train_steps": np.array(value),
        },
        "actor": {"rng": np.arange(value, dtype=np.uint8)},
    }


def save(saved: Checkpoints, value: int) -> Path:
    return saved.save(
        Counters(env_steps=value, train_steps=2 * value, seconds=0.5),
        arrays(value),
        lambda directory: save_arrays(directory / "table.npz", {"rows": np.full(100, value)}),
    )


def holds(generation: Generation | None, value: int) -> bool:
    assert generation is not None
    for name, expected in arrays(value).items():
        found = generation.arrays(name)
        assert found.keys() == expected.keys()
        for key, array in expected.items():
            np.testing.assert_array_equal(found[key], array)
            assert found[key].dtype == array.dtype
    np.testing.assert_array_equal(load_arrays(generation.replay / "table.npz")["rows"], np.full(100, value))
    return generation.counters == Counters(env_steps=value, train_steps=2 * value, seconds=0.5)


def flip_a_byte(file: str) -> Damage:
    def damage(generation: Path) -> None:
        content = bytearray((generation / file).read_bytes())
        content[len(content) // 2] ^= 1
        (generation / file).write_bytes(content)

    return damage


def truncate(file: str) -> Damage:
    return lambda generation: os.truncate(generation / file, (generation / file).stat().st_size // 2)


def remove(file: str) -> Damage:
    return lambda generation: (generation / file).unlink()


def empty(generation: Path) -> None:
    shutil.rmtree(generation)
    generation.mkdir()


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
    assert Checkpoints(tmp_path / "none yet").latest() is None


def test_the_latest_is_what_was_saved_last(tmp_path: Path) -> None:
    saved = Checkpoints(tmp_path / "checkpoints")
    for value in (1, 2):
        save(saved, value)
        assert holds(saved.latest(), value)
        assert holds(Checkpoints(tmp_path / "checkpoints").latest(), value)


def test_arrays_under_an_unknown_name_are_a_key_error(tmp_path: Path) -> None:
    generation = Generation(save(Checkpoints(tmp_path), 1))
    with pytest.raises(KeyError, match="writer"):
        generation.arrays("writer")


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    saved = Checkpoints(tmp_path, keep=2)
    for value in range(1, 6):
        save(saved, value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000004", "000005"]
    save(Checkpoints(tmp_path, keep=1), 6)
    assert [path.name for path in tmp_path.iterdir()] == ["000006"]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_passed_over_aloud(tmp_path: Path, damage: Damage) -> None:
    saved = Checkpoints(tmp_path)
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
    saved = Checkpoints(tmp_path)
    for value in (1, 2):
        flip_a_byte("learner.npz")(save(saved, value))
    said: list[str] = []
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        saved.latest(said.append)
    assert len(said) == 2


def test_no_flipped_byte_of_a_manifest_ends_in_anything_but_a_checkpoint_error(tmp_path: Path) -> None:
    generation = save(Checkpoints(tmp_path), 1)
    manifest = generation / "manifest.json"
    whole = manifest.read_bytes()
    refused = 0
    for i in range(len(whole)):
        for mask in (1, 0x80):
            manifest.write_bytes(whole[:i] + bytes([whole[i] ^ mask]) + whole[i + 1 :])
            try:
                Generation(generation)
            except CheckpointError:
                refused += 1
    assert refused > len(whole)


def test_what_a_killed_process_left_half_written_is_ignored_and_removed(tmp_path: Path) -> None:
    saved = Checkpoints(tmp_path)
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

    saved = Checkpoints(tmp_path, keep=1)
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
            patch.setattr(np, "savez", dying(np.savez))
            patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
            try:
                save(saved, value + 1)
                break
            except Killed:
                moments += 1
        whole = [Generation(path) for path in tmp_path.iterdir() if path.name.isdecimal()]
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
    saved = Checkpoints(tmp_path)
    save(saved, 1)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, no_space)
        with pytest.raises(CheckpointError, match=r"the disk is full; the last one, 000001, is intact"):
            save(saved, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["000001"]
    assert holds(saved.latest(), 1)
    save(saved, 2)
    assert holds(saved.latest(), 2)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (CheckpointError("replay.npz can't be written: No space left on device"), "the disk is full"),
        (RuntimeError("Reverb: INTERNAL: no\nStack: …"), "Reverb: INTERNAL: no"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_replay_that_can_not_be_written_leaves_no_half_checkpoint(
    tmp_path: Path, error: Exception, why: str
) -> None:
    def fail(directory: Path) -> None:
        raise error

    with pytest.raises(CheckpointError, match=f"{why}; there is no earlier one"):
        Checkpoints(tmp_path).save(Counters(), arrays(1), fail)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tfdqn-test", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full_leaves_the_earlier_checkpoint(tiny_disk: Path) -> None:
    saved = Checkpoints(tiny_disk)
    save(saved, 1)
    with pytest.raises(CheckpointError, match="the disk is full; the last one, 000001, is intact"):
        saved.save(Counters(), {"learner": {"online/kernel": np.zeros(1 << 20)}}, lambda directory: None)
    with pytest.raises(CheckpointError, match="the disk is full"):
        saved.save(
            Counters(), {}, lambda d: save_arrays(d / "table.npz", {"rows": np.zeros(1 << 20, np.uint8)})
        )
    assert [path.name for path in tiny_disk.iterdir()] == ["000001"]
    assert holds(saved.latest(), 1)
    save(saved, 2)  # room again
    assert holds(saved.latest(), 2)


def test_arrays_come_back_exactly(tmp_path: Path) -> None:
    content = {
        "a/b": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32),
        "scalar": np.array(7),
        "empty": np.zeros((0, 3), np.uint8),
        "flags": np.array([True, False]),
    }
    save_arrays(tmp_path / "some.npz", content)
    found = load_arrays(tmp_path / "some.npz")
    assert found.keys() == content.keys()
    for name, array in content.items():
        assert found[name].tobytes() == array.tobytes()
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["some.npz"]


def test_nothing_that_was_pickled_is_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", a=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(tmp_path / "evil.npz")


def test_arrays_that_could_not_be_written_leave_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_arrays(tmp_path / "some.npz", {"a": np.ones(1)})
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        save_arrays(tmp_path / "some.npz", {"a": np.zeros(1)})
    assert load_arrays(tmp_path / "some.npz")["a"] == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["some.npz"]
