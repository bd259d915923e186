"""docs/many_runs.md on reports: its commands work as they stand, its tables have the columns that there are."""

import csv
import re
import shlex
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.reported_runs import seeds
from tfdqn.cli.main import main
from tfdqn.reports import page
from tfdqn.reports.group_table import group_table
from tfdqn.reports.groups import read_report
from tfdqn.reports.tidy_rows import COLUMNS

PAGE = (PROJECT / "docs" / "many_runs.md").read_text(encoding="utf-8")
REPORTS = PAGE.split("## Reports")[1].split("\n## ")[0]
COMPARISON = PAGE.split("## Is B better?")[1].split("\n## ")[0]


def commands(text: str) -> list[list[str]]:
    """After `tfdqn`."""
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)).splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if re.match("tfdqn (report|compare) runs", line)]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seeds(Path("runs/cartpole-seeds"), [400, 450, 480])
    seeds(Path("runs/cartpole-munchausen-seeds"), [490, 495, 500], ["agent.kind=munchausen"])


def test_the_commands_of_the_page_work(folders: None, capsys: pytest.CaptureFixture[str]) -> None:
    given = commands(REPORTS) + commands(COMPARISON)
    assert [command[0] for command in given] == ["report"] * 3 + ["compare"]
    for command in given:
        assert main(command) == 0, command
    assert all(Path("runs", name).exists() for name in ("report.html", "report-curves.png", "evaluations.csv"))
    assert "P(B > A) = 1.00" in capsys.readouterr().out


def test_a_command_before_makes_each_folder_of_seeds_that_another_reads() -> None:
    made: set[str] = set()
    read: set[str] = set()
    for line in re.findall(r"^tfdqn .*", PAGE, flags=re.MULTILINE):
        made.update(f"runs/{stem}-seeds" for stem in re.findall(r"^tfdqn train configs/(\S+)\.toml .*--seeds ", line))
        read.update(re.findall(r"runs/\S+-seeds", line))
        assert read <= made, line
    assert read == {"runs/cartpole-seeds", "runs/cartpole-munchausen-seeds"}


def test_the_columns_of_its_tables_are_those_that_there_are(folders: None) -> None:
    rows = re.findall(r"^\| (`[^|]*`) \| ([^|]*) \|$", REPORTS, flags=re.MULTILINE)
    named = [(name.strip("`"), meaning) for names, meaning in rows for name in names.split(", ")]
    assert named[-len(COLUMNS) :] == list(COLUMNS.items())
    columns = group_table(read_report(["runs"], 475.0)).columns
    for name, _ in named[: -len(COLUMNS)]:
        assert name.removesuffix("…") in columns or any(each.startswith("steps to ") for each in columns)
    assert main(["report", "runs", "--csv", "runs/evaluations.csv"]) == 0
    with Path("runs/evaluations.csv").open() as file:
        assert set(COLUMNS) < set(next(csv.reader(file)))


def test_the_limits_of_videos_are_the_program_s() -> None:
    limits = re.search(r"up to (\d+) MB a video and (\d+) MB in all", " ".join(REPORTS.split()))
    assert limits is not None
    assert tuple(int(each) * 1_000_000 for each in limits.groups()) == (page.VIDEO_BYTES, page.VIDEOS_BYTES)
