"""What a person sees of `tfdqn report` and `tfdqn compare`."""

from rich.console import Console, RenderableType
from rich.markup import escape

from tfdqn.cli.terminal import make_console, make_table
from tfdqn.reports.comparison import Comparison
from tfdqn.reports.group_table import Table, group_table, number, span
from tfdqn.reports.groups import Report


def print_report(report: Report, console: Console | None = None) -> None:
    """The task, and a row for each group."""
    console = console or make_console()
    about = report.task if report.threshold is None else f"{report.task}, learned from {report.threshold:g}"
    console.print(about, markup=False, soft_wrap=True)
    console.print(_rendered(group_table(report)))


def verdict(found: Comparison) -> str:
    """One line: who is better, by how much, how sure that is; if it isn't settled, what would settle it."""
    of_a, of_b = found.runs
    better = "B is better" if found.difference > 0 else "A is better"
    head = better if found.is_settled else "Not settled" if found.difference else "No difference"
    figures = (
        f"{number(found.means[1])} against {number(found.means[0])}, difference {number(found.difference)} "
        f"(95 % interval {span(found.interval)}), P(B > A) = {found.improvement:.2f} "
        f"({span(found.improvement_interval, '.2f')}), of {of_a} and {of_b} runs"
    )
    return f"{head}: {figures}{'' if found.is_settled else _advice(found)}"


def _advice(found: Comparison) -> str:
    if found.runs_to_settle is None:
        return "; if there is a difference, a thousand runs of each would not settle it"
    more = [max(found.runs_to_settle - runs, 0) for runs in found.runs]
    return f"; if it is as it looks, about {more[0]} more seeds of A and {more[1]} of B would settle it"


def _rendered(table: Table) -> RenderableType:
    text, *numbers = table.columns
    drawn = make_table(text, right=numbers)
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    return drawn
