"""The verbs that evaluate many finished runs: `report` and `compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfdqn.cli.arguments import finite, say_on_stderr
from tfdqn.errors import ConfigError

if TYPE_CHECKING:  # which imports much
    from tfdqn.reports.groups import Report

reports = typer.Typer()


@reports.command()
def report(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="run directories, folders of seeds, or folders with runs in them"),
    ],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="write one self-contained page, with PNGs beside it")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="write all evaluations as CSV")] = None,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="FILE", help="write all evaluations as Parquet")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="return at which the task counts as learned",
            show_default="stop.return_at_least",
            callback=finite,
        ),
    ] = None,
) -> None:
    """Report on finished runs of a task.

    Runs whose configurations differ only in the seed form one group.
    """
    from tfdqn.cli import reports_view
    from tfdqn.cli.terminal import make_console, require_reader
    from tfdqn.reports.groups import read_report
    from tfdqn.system.shell_commands import own_command

    _require_different(html, csv, parquet)
    if parquet is not None:
        from tfdqn.reports.tidy_rows import require_parquet

        require_parquet()
    found = read_report(paths, threshold, say_on_stderr)
    console = make_console()
    reports_view.print_report(found, console, has_page=html is not None)
    _write_rows(found, csv, parquet)
    if html is not None:
        from tfdqn.reports.page import write_page

        of_threshold = [] if threshold is None else ["--threshold", str(threshold)]
        command = own_command(["report", *map(str, paths), *of_threshold, "--html", str(html)])
        for file in write_page(found, html, command):
            typer.echo(file)
    require_reader(console)


def _require_different(*files: Path | None) -> None:
    """Raises ConfigError if two outputs have the same file, of which one would replace the other."""
    given = [file for file in files if file is not None]
    for file in given:
        if [each.resolve() for each in given].count(file.resolve()) > 1:
            raise ConfigError(f"{file} is given for two outputs: give each its own file")


def _write_rows(report: "Report", csv: Path | None, parquet: Path | None) -> None:
    """Writes all evaluations to the files that are given, and prints their paths."""
    from tfdqn.reports.tidy_rows import write_csv, write_parquet

    for file, write in ((csv, write_csv), (parquet, write_parquet)):
        if file is not None:
            write(report, file)
            typer.echo(file)


FurtherA = Annotated[
    list[Path] | None, typer.Option("--and-a", metavar="RUN", help="another run or folder of seeds for A; repeatable")
]
FurtherB = Annotated[
    list[Path] | None, typer.Option("--and-b", metavar="RUN", help="another run or folder of seeds for B; repeatable")
]


@reports.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="a run directory or a folder of seeds")],
    b: Annotated[Path, typer.Argument(metavar="B", help="a run directory or a folder of seeds")],
    and_a: FurtherA = None,
    and_b: FurtherB = None,
    looks: Annotated[
        int,
        typer.Option(
            min=1, max=20, metavar="N", help="how often A and B are compared in all, with seeds added in between"
        ),
    ] = 1,
) -> None:
    """Test whether B scores higher than A.

    Prints the difference with its 95 % confidence interval and, if that does not settle the question, about how many
    more seeds would. If you mean to add them, and to compare again, give --looks 2 both times.
    """
    from tfdqn.cli import reports_view
    from tfdqn.reports.comparison import compare_runs

    reports_view.print_comparison(compare_runs([a, *(and_a or ())], [b, *(and_b or ())], looks))
