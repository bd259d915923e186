"""`report` and `compare`: what is printed, which files are written, and mistakes as one line."""

import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.reported_runs import reported_run, seeds
from tests.support.run_files import name_own_kinds
from tfdqn.cli.main import main
from tfdqn.cli.reports_view import print_report
from tfdqn.reports.group_table import group_table
from tfdqn.reports.groups import read_report


def test_report_prints_a_row_for_each_group_and_the_files_that_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [seeds(tmp_path / "a", [100, 200, 300]), seeds(tmp_path / "b", [450, 480], ["agent.n_step=3"])]
    files = [tmp_path / "rows.csv", tmp_path / "page.html"]
    options = ["--threshold", "400", "--csv", str(files[0]), "--html", str(files[1])]
    assert main(["report", *map(str, folders), *options]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "CartPole-v1, which counts as learned at a return of 400"
    assert [line.split()[:5] for line in printed[2:4]] == [
        ["1.", "dqn,", "agent.n_step=3", "2", "465"],
        ["2.", "dqn,", "agent.n_step=1", "3", "200"],
    ]
    beside = [tmp_path / f"page-{name}.png" for name in ("curves", "profile", "improvement")]
    assert printed[4:] == [str(file) for file in (*files, *beside)]
    assert all(file.stat().st_size for file in (*files, *beside))
    assert f"report {folders[0]} {folders[1]} --threshold 400.0 --html {files[1]}" in files[1].read_text()


def test_keys_that_differ_but_are_in_no_label_are_named_below_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["agent.n_step=3", "agent.discount=0.9", "learner.batch_size=64", "stop.env_steps=300_000"]
    folders = [seeds(tmp_path / "a", [100, 200]), seeds(tmp_path / "b", [450, 480], keys)]
    assert main(["report", *map(str, folders)]) == 0
    *_, row, last = capsys.readouterr().out.splitlines()
    assert "learner.batch_size=" in row and "stop.env_steps=" not in row
    assert last == "also different: stop.env_steps (values: --html FILE)"
    assert main(["report", *map(str, folders), "--html", str(tmp_path / "page.html")]) == 0
    assert "also different: stop.env_steps" in capsys.readouterr().out.splitlines()


def test_keys_in_the_labels_of_one_kind_alone_are_named_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else what another kind of agent has achieved would look like its own doing."""
    double = ["agent.kind=double_dqn", "agent.n_step=3", "network.hidden_units=[32, 32]"]
    keys = {"a": [], "b": ["agent.n_step=3"], "c": double, "d": ["agent.kind=c51", "agent.n_step=3"]}
    folders = [seeds(tmp_path / name, [100, 200], changes) for name, changes in keys.items()]
    assert main(["report", *map(str, folders)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert any("dqn, agent.n_step=1 " in line for line in out) and any("double dqn " in line for line in out)
    assert out[-1] == "also different: network.hidden_units; agent.n_step (values: --html FILE)"


def test_where_the_reader_has_gone_the_status_is_1_and_the_files_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (str(seeds(tmp_path / name, [10, 11])) for name in "ab")
    monkeypatch.setattr("tfdqn.cli.terminal.make_console", lambda: Console(quiet=True))
    monkeypatch.setattr("tfdqn.cli.reports_view.make_console", lambda: Console(quiet=True))
    assert main(["report", a, "--csv", str(tmp_path / "rows.csv")]) == 1
    assert (tmp_path / "rows.csv").stat().st_size
    assert main(["compare", a, b]) == 1


def test_a_missing_package_is_said_before_any_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = reported_run(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["report", str(run), "--parquet", str(tmp_path / "rows.parquet")]) == 2
    printed = capsys.readouterr()
    assert re.match(r"^tfdqn: a Parquet file needs a package: .*\[parquet\]", printed.err) and printed.out == ""


def test_a_narrow_terminal_shows_every_figure_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [seeds(tmp_path / name, scores) for name, scores in (("a", [490, 480.25]), ("b", [310, 330]))]
    report = read_report(folders)
    print_report(report, Console(width=70, highlight=False))
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= 70 and "…" not in narrow
    print_report(report, Console(width=200, highlight=False))
    wide = capsys.readouterr().out
    for figure in ("IQM", "95 % interval", "median", "steps/s", "time"):
        assert figure in narrow and figure in wide
    assert all(group.name in narrow for group in report.groups)


@pytest.mark.parametrize("width", [80, 40, 24])
def test_no_figure_of_many_columns_is_cut_or_without_its_group(
    tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ["agent.kind=munchausen"]
    folders = [seeds(tmp_path / "a", [490.25, 480.5, -109.123]), seeds(tmp_path / "b", [9310.5, 9330.25], other)]
    report = read_report(folders, 475.0)
    print_report(report, Console(width=width, highlight=False))
    head, *parts = capsys.readouterr().out.split("\n\n")
    assert head.splitlines() == [
        "CartPole-v1, which counts as learned at a return of 475",
        *(group.name for group in report.groups),
    ]
    lines = [line for part in parts for line in part.splitlines()]
    assert max(map(len, lines)) <= width
    for number, row in enumerate(group_table(report).rows, 1):
        shown = " ".join(line.removeprefix(f"{number}.") for line in lines if line.startswith(f"{number}."))
        assert shown.split() == " ".join(row[1:]).split()
    headers = " ".join(part.splitlines()[0] for part in parts)
    assert headers.split() == " ".join(group_table(report).columns[1:]).split()


def test_of_a_folder_the_unfinished_runs_are_left_out_and_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = seeds(tmp_path / "runs" / "a", [100, 200, 300])
    (folder / "seed-3" / "summary.json").unlink()
    assert main(["report", str(tmp_path / "runs")]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1].split()[:4] == ["1.", "dqn", "2", "150"]
    assert shown.err == f"left out: {folder}/seed-3 has not finished: a report needs finished runs\n"
    assert main(["report", str(folder), str(folder / "seed-3")]) == 2
    assert capsys.readouterr().err == f"tfdqn: {folder}/seed-3 has not finished: a report needs finished runs\n"


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (
            [10, 11, 12],
            [20, 21, 22],
            "B is better: B 21.00, A 11.00, difference 10.00 (95 % interval 7.73 to 12.27), P(B > A) = 1.00, of 3 ",
        ),
        (
            [20, 21, 22],
            [10, 11, 12],
            "A is better: B 11.00, A 21.00, difference -10.00 (95 % interval -12.27 to -7.73), ",
        ),
        ([5, 5], [5, 5], "No difference: B 5, A 5"),
        ([5, 5], [5, 5], "; the scores of neither side vary, which says nothing about further seeds: "),
        (
            [9, 10, 11],
            [10, 11, 12],
            "; if the difference is as estimated, about 18 more seeds of A and 18 of B would settle it by `compare",
        ),
        ([1, 2, 3, 4, 5], [2, 3, 4, 5, 6], "P(B > A) = 0.68 ("),
        ([499, 499], [500, 500], "Not settled: B 500, A 499, difference 1 (no interval), P(B > A) = 1.00, "),
        ([499, 499], [500, 500], "; the scores of neither side vary, which says nothing about further seeds: "),
        ([9, 10, 11], [9.001, 10.001, 11.001], "a thousand runs of each would not settle it"),
    ],
)
def test_compare_is_one_line(
    tmp_path: Path, ours: list[float], theirs: list[float], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(seeds(tmp_path / "a", ours)), str(seeds(tmp_path / "b", theirs))]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert said in line


def test_each_of_several_looks_is_of_higher_confidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [str(seeds(tmp_path / name, scores)) for name, scores in (("a", [9.0, 10.0, 11.0]), ("b", [10.0, 11, 12]))]
    for looks, said in (("2", "about 18 more seeds of A and 18 of B"), ("3", "about 20 more seeds of A and 20 of B")):
        assert main(["compare", *sides, "--looks", looks]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert f"({100 - 5 / int(looks):.4g} % interval " in line
        assert line.endswith(
            f"; if the difference is as estimated, {said} would settle it by `compare --looks {looks}`"
        )
    assert main(["compare", *sides, "--looks", "0"]) == 2


def test_each_side_may_be_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (seeds(tmp_path / name, [10, 11]) for name in "ab")
    more = [reported_run(tmp_path / f"more-{seed}", 12, seed=seed) for seed in (3, 4, 5)]
    sides = ["--and-a", str(more[0]), "--and-b", str(more[1]), "--and-b", str(more[2])]
    assert main(["compare", str(a), str(b), *sides]) == 0
    assert ", of 4 and 3 runs" in capsys.readouterr().out


@pytest.mark.parametrize("output", [["report", "--html"], ["report", "--csv"], ["plot", "-o"]])
def test_the_folder_of_an_output_is_made(tmp_path: Path, output: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run = reported_run(tmp_path / "run")
    suffix = {"--html": "html", "--csv": "csv", "-o": "png"}[output[1]]
    file = tmp_path / "new" / "newer" / f"results.{suffix}"
    assert main([output[0], str(run), output[1], str(file)]) == 0
    assert file.stat().st_size > 0
    assert main([output[0], str(run), output[1], str(file / f"x.{suffix}")]) == 2
    assert capsys.readouterr().err == f"tfdqn: {file}/x.{suffix} couldn't be written: {file} is not a directory\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report", "{}/a", "--html", "{}/page.txt"], "page.txt is not an HTML page's name"),
        (["report", "{}/a", "--csv", "."], "tfdqn: . couldn't be written: it is a directory\n"),
        (["report", "{}/a", "--parquet", "{}/a"], "tfdqn: {}/a couldn't be written: it is a directory\n"),
        (["compare", "{}/a", "{}/a/seed-1"], "tfdqn: B is a single run: a comparison needs at least two seeds"),
        (["report", "{}/a", "--html", "x.html", "--csv", "./x.html"], "tfdqn: x.html is given for two outputs"),
        (["report", "{}/a", "--html", "x.html", "--csv", "y/../x.html"], "x.html is given for two outputs"),
        (["compare", "{}/a"], "Missing argument 'B'"),
        (["compare", "{}/a", "{}/b", "{}/c"], "further runs of a side are given as --and-a RUN or --and-b RUN"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds(tmp_path / "a", [1, 2])
    assert main([each.format(tmp_path) for each in arguments]) == 2
    error = capsys.readouterr().err
    assert said.format(tmp_path) in error and error.count("\n") == 1


def test_runs_of_own_kinds_need_no_module_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(seeds(tmp_path / name, [10, 11])) for name in "ab"]
    for folder, bins in zip(folders, ("bins = 9", "bins = 17"), strict=True):
        for seed in Path(folder).iterdir():
            name_own_kinds(seed, bins)
    page = tmp_path / "page.html"
    assert main(["report", *folders, "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "tasks_elsewhere:CartPole-v1" in printed and "losses_elsewhere:own, agent.bins=17" in printed
    assert "bins = 17" in page.read_text()
    assert main(["compare", *folders]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["The sides differ in agent.bins (9 in A, 17 in B)"]
    assert main(["plot", *folders, "-o", str(tmp_path / "curves.png")]) == 0
    assert (tmp_path / "curves.png").stat().st_size
