"""What a person sees of `tfdqn report` and `tfdqn compare`."""

from rich.console import Console, RenderableType
from rich.markup import escape

from tfdqn.cli.terminal import make_console, make_table
from tfdqn.reports.comparison import Comparison
from tfdqn.reports.group_table import Table, group_table, number, span
from tfdqn.reports.groups import Report

_LEAST_RUNS = 5  # of each side, for the bootstrap's interval


def print_report(report: Report, console: Console | None = None) -> None:
    """The task, and a row for each group."""
    console = console or make_console()
    about = report.task if report.threshold is None else f"{report.task}, learned at a return of {report.threshold:g}"
    console.print(about, markup=False, soft_wrap=True)
    table = group_table(report)
    if console.measure(_rendered(table)).maximum <= console.width:
        console.print(_rendered(table))
        return
    # Names above, and the figures in two tables: cut ones would be of no use.
    for group in report.groups:
        console.print(group.name, markup=False, soft_wrap=True)
    half = 1 + (len(table.columns) - 1) // 2
    for figures in (slice(1, half), slice(half, None)):
        console.print()
        rows = [[str(group.number), *row[figures]] for group, row in zip(report.groups, table.rows, strict=True)]
        console.print(_rendered(Table(["group", *table.columns[figures]], rows)))


def verdict(found: Comparison) -> str:
    """One line: who is better, by how much, how sure that is; if it isn't settled, what would settle it."""
    of_a, of_b = found.runs
    better = "B is better" if found.difference > 0 else "A is better"
    head = better if found.is_settled else "Not settled" if found.difference else "No difference"
    figures = (
        f"B {number(found.means[1])}, A {number(found.means[0])}, difference {number(found.difference)} "
        f"(95 % interval {span(found.interval)}), P(B > A) = {found.improvement:.2f}{_its_interval(found)}, "
        f"of {of_b} and {of_a} runs"
    )
    return f"{head}: {figures}{'' if found.is_settled else _advice(found)}"


def _advice(found: Comparison) -> str:
    if found.runs_to_settle is None:
        return "; if there is a difference, a thousand runs of each would not settle it"
    of_a, of_b = (max(found.runs_to_settle - runs, 0) for runs in found.runs)
    seeds = "seed" if of_a == 1 else "seeds"
    return f"; if it is as it looks, about {of_a} more {seeds} of A and {of_b} of B would settle it"


def _its_interval(found: Comparison) -> str:
    """Resamples of a few runs are nearly all alike: of all that win, each resample wins."""
    return f" ({span(found.improvement_interval, '.2f')})" if min(found.runs) >= _LEAST_RUNS else ""


def _rendered(table: Table) -> RenderableType:
    text, *numbers = table.columns
    drawn = make_table(text, right=numbers)
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    return drawn
