"""Tidy rows: a row for each evaluation, the same in CSV and Parquet, its columns documented."""

import csv
from pathlib import Path

import pytest

from tests.support.reported_runs import reported_run
from tfdqn.reports.groups import Report, read_report
from tfdqn.reports.tidy_rows import COLUMNS, write_csv, write_parquet


@pytest.fixture
def report(tmp_path: Path) -> Report:
    one = reported_run(tmp_path / "one", 25.0, (10.0, 20.0), ["agent.n_step=3", "agent.kind=dqn"])
    other = reported_run(tmp_path / "other", 5.0, (1.0,), ["agent.kind=qr_dqn", "agent.target=double"], seed=9)
    return read_report([one, other])


def test_a_row_for_each_evaluation_and_one_for_the_score(report: Report, tmp_path: Path) -> None:
    write_csv(report, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[: len(COLUMNS)] == list(COLUMNS)
    assert [(row["run"].rpartition("/")[2], row["kind"], float(row["mean_return"])) for row in rows] == [
        ("one", "training", 10.0),
        ("one", "training", 20.0),
        ("one", "final", 25.0),
        ("other", "training", 1.0),
        ("other", "final", 5.0),
    ]
    assert {name: rows[1][name] for name in ("seed", "env_steps", "train_steps", "seconds", "episodes")} == {
        "seed": "1",
        "env_steps": "200",
        "train_steps": "20",
        "seconds": "10.0",
        "episodes": "4",
    }
    assert [row["agent.n_step"] for row in rows] == ["3"] * 3 + ["1"] * 2
    assert (rows[0]["agent.quantiles"], rows[-1]["agent.quantiles"] != "") == ("", True)


def test_parquet_has_the_same_rows(report: Report, tmp_path: Path) -> None:
    import pyarrow.parquet

    write_csv(report, tmp_path / "rows.csv")
    write_parquet(report, tmp_path / "rows.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "rows.parquet")
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = [{name: "" if value is None else str(value) for name, value in row.items()} for row in table.to_pylist()]
    assert found == rows
    assert str(table.schema.field("mean_return").type) == "double"


def test_tables_become_json(tmp_path: Path) -> None:
    runs = [
        reported_run(tmp_path / str(i), overrides=[f"task.kwargs={kwargs}"])
        for i, kwargs in enumerate(("{}", "{sutton_barto_reward = true}"))
    ]
    write_parquet(read_report(runs), tmp_path / "rows.parquet")
    write_csv(read_report(runs), tmp_path / "rows.csv")
    import pyarrow.parquet

    values = set(pyarrow.parquet.read_table(tmp_path / "rows.parquet")["task.kwargs"].to_pylist())
    assert values == {"{}", '{"sutton_barto_reward": true}'}
    with (tmp_path / "rows.csv").open() as file:
        assert {row["task.kwargs"] for row in csv.DictReader(file)} == values
