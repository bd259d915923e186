"""Prices by the hour: files are read as they stand, gaps are one line with row and column; random days have the
documented mean and spread."""

from pathlib import Path

import numpy as np
import pytest

from tfdqn.errors import TaskError
from tfdqn.tasks.fields.battery import draw_day, read_days

HOURS = [f"2026-01-0{day}T{hour:02}:00" for day in (1, 2) for hour in range(24)]


def write(folder: Path, rows: list[str], header: str = "time,price") -> str:
    (folder / "prices.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    return str(folder / "prices.csv")


def test_days_are_rows_in_order(tmp_path: Path) -> None:
    rows = [f"{hour},{number / 2 - 3}" for number, hour in enumerate(HOURS)]
    np.testing.assert_array_equal(read_days(write(tmp_path, rows)), (np.arange(48) / 2 - 3).reshape(2, 24))


def test_other_columns_and_offsets_do_not_matter(tmp_path: Path) -> None:
    rows = [f"DE,{hour}+00:00,1.5" for hour in HOURS]
    assert (read_days(write(tmp_path, rows, "zone,time,price")) == 1.5).all()


@pytest.mark.parametrize(
    "row, changed, said",
    [
        (5, "2026-01-01T03:00,", "row 5, column price: '' is not a price"),
        (5, "2026-01-01T03:00", "row 5, column price: '' is not a price"),
        (5, "2026-01-01T03:00,24,9", "row 5: more cells than the header has columns"),
        (7, "2026-01-01T05:00,nan", "row 7, column price: 'nan' is not a price"),
        (7, "2026-01-01T05:00,n/a", "row 7, column price: 'n/a' is not a price"),
        (9, "yesterday,1.0", "row 9, column time: 'yesterday' is not a time"),
        (9, "2026-01-01T06:00,1.0", "row 9, column time: 2026-01-01T06:00 follows 2026-01-01T06:00:00"),
        (9, "2026-01-01T08:00,1.0", "row 9, column time: 2026-01-01T08:00 follows 2026-01-01T06:00:00"),
        (9, "2026-01-01T07:00+01:00,1.0", "row 9, column time: 2026-01-01T07:00+01:00 follows"),
        (2, "2026-01-01T01:00,1.0", "row 2, column time: the first day begins at 2026-01-01T01:00"),
        (50, "2026-01-03T00:00,1.0", "row 50, column time: the last day has 1 hours"),
    ],
)
def test_a_gap_is_one_line_with_row_and_column(tmp_path: Path, row: int, changed: str, said: str) -> None:
    rows = [f"{hour},1.0" for hour in HOURS]
    rows[row - 2 : row - 1] = [changed]
    file = write(tmp_path, rows)
    with pytest.raises(TaskError) as caught:
        read_days(file)
    assert str(caught.value).startswith(f"{file}, {said}")
    assert "\n" not in str(caught.value)


def test_empty_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [f"{hour},1.0" for hour in HOURS]
    assert read_days(write(tmp_path, [*rows[:4], "", *rows[4:]])).shape == (2, 24)
    with pytest.raises(TaskError, match=r"row 8, column price: 'n/a'"):
        read_days(write(tmp_path, [*rows[:4], "", rows[4], "2026-01-01T05:00,n/a", *rows[6:]]))


@pytest.mark.parametrize("rows, header", [([], "time,price"), (["1,2"], "hour,price")])
def test_a_file_without_its_columns_says_which(tmp_path: Path, rows: list[str], header: str) -> None:
    with pytest.raises(TaskError, match="columns time and price"):
        read_days(write(tmp_path, rows, header))


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="can't be read"):
        read_days(str(tmp_path / "none.csv"))


def test_random_days_have_the_documented_mean_and_spread() -> None:
    """At midnight, where no bump reaches: 60 ± sqrt(15² + 6²). At 13 the sun takes 40 E[bump(13, 13 + N(0, 1), 3)].

    That is 40 · 3 / sqrt(3² + 1) = 37.95. The morning's bump has 25 E[exp(-(5 - N)² / 8)] = 25 · 2 / sqrt(5) ·
    exp(-25 / 10) = 1.835 left there, the evening's 45 · 2 / sqrt(5) · exp(-36 / 10) = 1.100.
    """
    rng = np.random.default_rng(0)
    days = np.stack([draw_day(rng) for _ in range(20_000)])
    assert days[:, 0].mean() == pytest.approx(60, abs=0.5)
    assert days[:, 0].std() == pytest.approx(np.hypot(15, 6), abs=0.5)
    assert days[:, 13].mean() == pytest.approx(60 - 37.95 + 1.835 + 1.100, abs=0.7)
    assert 0.005 < (days < 0).mean() < 0.1
