"""A video is whole or none, and of a size that its format has."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import numpy as np
import pytest

from tests.support.disks import fill, small_disk
from tfdqn.evaluation import video
from tfdqn.evaluation.video import enlarged, with_even_sides, written_video


def test_a_video_of_which_only_a_part_found_room_is_no_video(tmp_path: Path) -> None:
    """ffmpeg takes every frame, and says nothing of it at the end."""
    frames = np.random.default_rng(1).integers(0, 256, (10, 200, 300, 3), np.uint8)
    with small_disk(tmp_path) as disk:
        fill(disk, but_bytes=8_192)
        with pytest.raises(OSError), written_video(disk / "1.mp4") as video:
            for frame in frames:
                video.append_data(frame)


def test_without_hard_links_two_that_end_at_once_lose_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_looked = Barrier(2)
    exists = Path.exists

    def link(*_: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def look(path: Path) -> bool:
        found = exists(path)
        with suppress(BrokenBarrierError):
            both_have_looked.wait(2.0)
        return found

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(Path, "exists", look)
    for name in ("a", "b"):
        (tmp_path / f".{name}.part.mp4").write_text(name)
    with ThreadPoolExecutor(2) as pool:
        published = list(pool.map(video._published, (tmp_path / ".a.part.mp4", tmp_path / ".b.part.mp4")))
    assert sorted(published) == [tmp_path / "1.mp4", tmp_path / "2.mp4"]
    assert [path.read_text() for path in published] == ["a", "b"]
    assert len(list(tmp_path.iterdir())) == 2


def test_without_hard_links_one_that_can_not_be_published_leaves_no_empty_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", fail)
    monkeypatch.setattr(Path, "replace", fail)
    unfinished = tmp_path / ".a.part.mp4"
    unfinished.touch()
    with pytest.raises(OSError, match="Input/output error"):
        video._published(unfinished)
    assert list(tmp_path.iterdir()) == [unfinished]


def test_odd_sides_are_filled_up_with_the_edge() -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14
    even = with_even_sides(picture)
    assert even.shape == (2, 4, 3)
    np.testing.assert_array_equal(even[:, 3], picture[:, 2])
    assert with_even_sides(even) is not None and with_even_sides(even).shape == (2, 4, 3)


def test_a_board_of_a_few_cells_is_enlarged_and_a_picture_is_not() -> None:
    board = np.arange(10 * 8 * 3, dtype=np.uint8).reshape(10, 8, 3)
    large = enlarged(board)
    assert large.shape == (200, 160, 3)
    np.testing.assert_array_equal(large[::20, ::20], board)
    np.testing.assert_array_equal(large[19::20, 19::20], board)
    picture = np.zeros((210, 160, 3), np.uint8)
    assert enlarged(picture) is picture
