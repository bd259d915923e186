"""Arrays by name in a file: back exactly, never unpickled, whole or not there."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from tfdqn.storage.arrays import load_arrays, save_arrays


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
