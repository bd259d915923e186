"""The numbers of groups, by hand, and the tables that show them."""

import math
from pathlib import Path

import pytest

from tests.support.reported_runs import reported_run, seeds
from tfdqn.reports.group_table import group_table, improvement_table, key_table, precision, run_table, statistics
from tfdqn.reports.groups import improvements, read_report


def test_the_numbers_of_a_group(tmp_path: Path) -> None:
    """Scores 10, 20, 30, 100; evaluations reach 20 at steps 100, 200, 100 and never; 2, 4, 6 and 10 seconds."""
    returns = [(20.0, 0.0), (5.0, 25.0), (30.0, 30.0), (19.0, 19.9)]
    for i, score in enumerate((10.0, 20.0, 30.0, 100.0)):
        reported_run(tmp_path / str(i), score, returns[i], seed=i, seconds=(2.0, 4.0, 6.0, 10.0)[i])
    (group,) = read_report([tmp_path]).groups
    found = statistics(group, 20.0)
    assert (found.interquartile_mean, found.mean, found.median) == (25.0, 40.0, 25.0)
    assert found.optimality_gap == pytest.approx(20 - (10 + 20 + 20 + 20) / 4)
    assert (found.reached, found.steps_to_threshold) == (3, 150.0)
    assert (found.seconds, found.env_steps_per_second) == (5.0, pytest.approx((200 / 4 + 200 / 6) / 2))
    assert found.interval is not None and 10 <= found.interval.low < 25 < found.interval.high <= 100


def test_what_half_of_the_runs_never_reach_is_never_reached(tmp_path: Path) -> None:
    for i, returns in enumerate([(20.0,), (1.0,)]):
        reported_run(tmp_path / str(i), returns=returns, seed=i)
    (group,) = read_report([tmp_path]).groups
    found = statistics(group, 20.0)
    assert (found.reached, found.steps_to_threshold) == (1, math.inf)
    table = group_table(read_report([tmp_path], 20.0))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["steps to 20"], row["reached"]) == ("never", "1 of 2")


def test_without_a_threshold_nothing_is_said_of_one(tmp_path: Path) -> None:
    table = group_table(read_report([reported_run(tmp_path / "run", 12345.6)]))
    assert table.columns == ["group", "runs", "IQM", "95 % interval", "mean", "median", "time", "steps/s"]
    assert table.rows == [["1. dqn", "1", "12,346", "–", "12,346", "12,346", "0:10", "20"]]


def test_runs_pairs_and_keys_have_a_row_each(tmp_path: Path) -> None:
    report = read_report([seeds(tmp_path / "a", [8.0, 9.0]), seeds(tmp_path / "b", [1.0], ["agent.kind=qr_dqn"])])
    assert [row[1:3] for row in run_table(report).rows] == [["1", "8 ± 2"], ["2", "9 ± 2"], ["1", "1 ± 2"]]
    assert improvement_table(improvements(report)).rows == [["1. dqn", "2. qr dqn", "1.00", "–"]]
    keys = {row[0]: row[1:] for row in key_table(report).rows}
    assert keys["agent.kind"] == ["dqn", "qr_dqn"]
    assert keys["agent.quantiles"][0] == "–"


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.123456], ["0.1235"]),
        ([-12.5, 3.0], ["-12.5", "3.0"]),
        ([9999.4], ["9,999"]),
        ([9999.7, 37.62, -0.2], ["10,000", "38", "0"]),
        ([37.62, 5.5, 100.125, 7.25], ["37.6", "5.5", "100.1", "7.2"]),
        ([0.00125, 0.5], ["0.0013", "0.5000"]),
        ([1e9], ["1,000,000,000"]),
        ([0.0], ["0"]),
        ([], []),
    ],
)
def test_numbers_of_one_column_have_as_many_decimals(values: list[float], texts: list[str]) -> None:
    form = precision(values)
    assert [format(value, form) for value in values] == texts


@pytest.mark.parametrize(
    ("signed", "texts"),
    [
        ([0.0004, 3.2, 0.0], ["0.0004", "3.2000", "0.0000"]),
        ([-0.004, 12.5], ["-0.004", "12.500"]),
        ([-0.2, 12_000.0], ["-0.2", "12,000.0"]),
        ([5e-17, 3.2], ["0.0", "3.2"]),
    ],
)
def test_where_its_sign_matters_a_number_is_written_as_zero_only_if_it_is_or_by_rounding(
    signed: list[float], texts: list[str]
) -> None:
    form = precision(signed, signed)
    assert [format(value, form) for value in signed] == texts


def test_the_returns_of_a_report_have_one_precision(tmp_path: Path) -> None:
    folders = [seeds(tmp_path / "a", [5.5, 7.25]), seeds(tmp_path / "b", [100.123], ["agent.n_step=3"])]
    report = read_report(folders, 475.0)
    returns = [row[2:7] for row in group_table(report).rows]
    assert returns[0] == ["100.1", "–", "100.1", "100.1", "374.9"]
    assert returns[1] == ["6.4", "5.5 to 7.2", "6.4", "6.4", "468.6"]
    assert [row[2] for row in run_table(report).rows] == ["100.1 ± 2.0", "5.5 ± 2.0", "7.2 ± 2.0"]
