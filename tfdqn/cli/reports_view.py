"""The output of `tfdqn report` and `tfdqn compare`."""

from collections.abc import Iterator

import rich.table
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement

from tfdqn.cli.terminal import make_console, make_table
from tfdqn.reports.comparison import Comparison
from tfdqn.reports.group_table import Table, group_table, number, span
from tfdqn.reports.groups import Report

_UNLIMITED_COLUMNS = 10_000
_MIN_RUNS = 5  # of each side, for the bootstrap's interval


def print_report(report: Report, console: Console | None = None) -> None:
    """Prints the task and a table with a row for each group."""
    console = console or make_console()
    about = report.task if report.threshold is None else f"{report.task}, learned at a return of {report.threshold:g}"
    console.print(about, markup=False, soft_wrap=True)
    table = group_table(report)
    if _fits(table, console):
        console.print(_rendered(table))
        return
    # Too wide: the names on lines of their own, then the columns in several tables, so that no figure is cut off.
    for group in report.groups:
        console.print(group.name, markup=False, soft_wrap=True)
    numbered = Table(["", *table.columns[1:]], [[f"{n}.", *row[1:]] for n, row in enumerate(table.rows, 1)])
    for part in _parts(numbered, console):
        console.print()
        console.print(_rendered(part))


def verdict(found: Comparison) -> str:
    """The result of a comparison in one line: which side is better, by how much and how certainly.

    If the interval contains 0, also how many more runs would settle it.
    """
    of_a, of_b = found.runs
    better = "B is better" if found.difference > 0 else "A is better"
    head = better if found.is_settled else "Not settled" if found.difference else "No difference"
    figures = (
        f"B {number(found.means[1])}, A {number(found.means[0])}, difference {number(found.difference)} "
        f"(95 % interval {span(found.interval)}), P(B > A) = {found.improvement:.2f}{_improvement_interval(found)}, "
        f"of {of_b} and {of_a} runs"
    )
    return f"{head}: {figures}{'' if found.is_settled else _advice(found)}"


def _advice(found: Comparison) -> str:
    if found.runs_to_settle is None:
        return "; if there is a difference, a thousand runs of each would not settle it"
    of_a, of_b = (max(found.runs_to_settle - runs, 0) for runs in found.runs)
    seeds = "seed" if of_a == 1 else "seeds"
    return f"; if it is as it looks, about {of_a} more {seeds} of A and {of_b} of B would settle it"


def _improvement_interval(found: Comparison) -> str:
    """The interval of P(B > A), or "" where there are too few runs for a bootstrap to mean anything."""
    return f" ({span(found.improvement_interval, '.2f')})" if min(found.runs) >= _MIN_RUNS else ""


def _parts(table: Table, console: Console) -> Iterator[Table]:
    """Splits a table by columns: each part has the first column and as many others as fit, at least one."""
    begin = 1
    for end in range(2, len(table.columns) + 1):
        if end == len(table.columns) or not _fits(_with_columns(table, begin, end + 1), console):
            yield _with_columns(table, begin, end)
            begin = end


def _with_columns(table: Table, begin: int, end: int) -> Table:
    """The first column and those from `begin` to before `end`."""
    first, *rows = ([row[0], *row[begin:end]] for row in (table.columns, *table.rows))
    return Table(first, rows)


def _fits(table: Table, console: Console) -> bool:
    """Whether each row fits on one line. `console.measure` can't tell: it never returns more than the width."""
    unlimited = console.options.update(width=_UNLIMITED_COLUMNS)
    return Measurement.get(console, unlimited, _rendered(table)).maximum <= console.width


def _rendered(table: Table) -> rich.table.Table:
    text, *numbers = table.columns
    drawn = make_table(text, right=numbers)
    for column in drawn.columns:
        column.no_wrap, column.overflow = False, "fold"  # never cut off, even if a single column is too wide
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    return drawn
