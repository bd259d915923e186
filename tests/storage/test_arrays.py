"""Arrays by name: back exactly or not at all, never unpickled; others than those wanted are refused as a whole."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from tfdqn.errors import CheckpointError
from tfdqn.storage.arrays import check_arrays, load_arrays, save_arrays

WANTED = {"a": np.zeros((2, 3), np.float32), "b": np.zeros((), np.int64)}


def test_the_same_arrays_are_taken_in_any_order() -> None:
    check_arrays({"b": np.array(5), "a": np.ones((2, 3), np.float32)}, WANTED, "file")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"a": np.zeros((2, 4), np.float32)}, r"^file: a is float32\[2, 4\], not float32\[2, 3\]: it belongs to"),
        ({"a": np.zeros((2, 3))}, r"^file: a is float64\[2, 3\], not float32\[2, 3\]: "),
        ({"b": np.zeros(1, np.int64)}, r"^file: b is int64\[1\], not int64\[\]: "),
        ({"c": np.zeros(1)}, r"^file: c is float64\[1\], not absent: "),
        ({"a": np.zeros(1), "b": np.zeros(2)}, r"^file: a is .* \(and 1 more\): "),
    ],
)
def test_others_are_refused_in_a_line_that_names_the_first(change: dict, line: str) -> None:
    with pytest.raises(CheckpointError, match=line):
        check_arrays(WANTED | change, WANTED, "file")


def test_one_that_is_missing_is_named_too() -> None:
    with pytest.raises(CheckpointError, match=r"^file: b is absent, not int64\[\]: "):
        check_arrays({"a": WANTED["a"]}, WANTED, "file")


def test_where_any_length_is_right_the_other_axes_still_count() -> None:
    longer = WANTED | {"a": np.zeros((9, 3), np.float32)}
    check_arrays(longer, WANTED, "file", any_length=("a",))
    with pytest.raises(CheckpointError, match=r"a is float32\[any, 4\], not float32\[any, 3\]"):
        check_arrays(WANTED | {"a": np.zeros((9, 4), np.float32)}, WANTED, "file", any_length=("a",))


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


def test_arrays_that_could_not_be_written_leave_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_arrays(tmp_path / "some.npz", {"a": np.ones(1)})
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        save_arrays(tmp_path / "some.npz", {"a": np.zeros(1)})
    assert load_arrays(tmp_path / "some.npz")["a"] == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["some.npz"]
