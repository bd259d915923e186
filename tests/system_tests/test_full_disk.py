"""A full disk: one line, and what was saved before stands."""

from pathlib import Path

import pytest

from tests.support.commands import (
    ENDLESS,
    IN_GRAPH,
    OFTEN,
    REVERB,
    assert_one_line,
    readable,
    side_by_side,
    tfdqn,
    write_config,
)
from tests.support.disks import fill, small_disk

NEVER = "evaluation.interval_env_steps=1000000000"
CURVES = ("logging.interval_seconds=0.05", "logging.tensorboard=true")


@pytest.mark.parametrize(
    "cases",
    [
        [
            (REVERB, NEVER, 28_000),  # room for the weights: Reverb itself finds none
            (IN_GRAPH, "evaluation.interval_env_steps=100", 0),
        ],
        pytest.param([(REVERB, NEVER, 0), ((*IN_GRAPH, *CURVES), NEVER, 0)], marks=pytest.mark.long),
    ],
    ids=["replay or best policy", "weights or curves"],
)
def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(
    tmp_path: Path, cases: list[tuple[tuple[str, ...], str, int]]
) -> None:
    def case(folder: Path, given: tuple[tuple[str, ...], str, int]) -> None:
        kind, first_writer, room_bytes = given
        config = write_config(folder, *kind, ENDLESS, OFTEN, first_writer)
        with small_disk(folder) as disk, tfdqn(folder, "train", config, "--run-dir", "disk/run") as process:
            process.until_saved(disk / "run")
            fill(disk, but_bytes=room_bytes)
            while not process.ended_within(0.2):
                fill(disk, but_bytes=room_bytes)  # what an old checkpoint took is free when it is removed
            assert process.ended() == 2
            assert_one_line(process, "disk/run", "the disk is full", "intact")
            assert process.resumption() == ["train", config, "--run-dir", "disk/run"]
            readable(disk / "run")

    side_by_side(case, tmp_path, cases)


def test_a_disk_that_is_full_from_the_start_is_one_line(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with small_disk(tmp_path) as disk:
        fill(disk)
        with tfdqn(tmp_path, "train", config, "--run-dir", "disk/run") as process:
            assert process.ended() == 2
        assert_one_line(process, "disk/run")
