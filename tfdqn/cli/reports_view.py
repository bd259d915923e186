"""The output of `tfdqn report` and `tfdqn compare`."""

from rich.console import Console

from tfdqn.cli.tables import WholeTable, print_whole
from tfdqn.cli.terminal import make_console, require_reader
from tfdqn.errors import counted, listed
from tfdqn.reports.comparison import Comparison, confidence_of
from tfdqn.reports.group_table import group_table, precision, span
from tfdqn.reports.groups import Report

_MIN_RUNS = 5  # of each side, for the bootstrap's interval


def print_report(report: Report, console: Console, has_page: bool = False) -> None:
    """Prints the task and a table with a row for each group; `has_page`: an HTML page has the rest."""
    about = (
        report.task
        if report.threshold is None
        else f"{report.task}, which counts as learned at a return of {report.threshold:g}"
    )
    console.print(about, markup=False, soft_wrap=True)
    table = group_table(report)
    text, *figures = table.columns
    whole, numbered = WholeTable(text, right=figures), WholeTable("", right=figures)
    for number_of_group, row in enumerate(table.rows, 1):
        whole.add_row(*row)
        numbered.add_row(f"{number_of_group}.", *row[1:])
    if whole.fits(console.width):
        print_whole(console, whole)
    else:  # the names on lines of their own, then the figures
        for group in report.groups:
            console.print(group.name, markup=False, soft_wrap=True)
        console.print()
        print_whole(console, numbered)
    if others := report.unlabelled_keys:
        where = "" if has_page else " (values: --html FILE)"
        console.print(f"also different: {listed(others)}{where}", markup=False, soft_wrap=True)


def print_comparison(found: Comparison) -> None:
    """The verdict, and the keys in which the sides differ, each broken between words alone."""
    console = make_console()
    console.print(verdict(found), markup=False)
    # So that a key that should be the same is noticed.
    shown = [f"{key} ({ours} in A, {theirs} in B)" for key, (ours, theirs) in found.key_differences.items()]
    if shown:
        console.print(f"The sides differ in {listed(shown)}", markup=False)
    require_reader(console)


def verdict(found: Comparison) -> str:
    """The result of a comparison in one line: which side is better, by how much and how certainly.

    If the interval contains 0, also how many more runs would settle it; if the scores don't vary, that they don't.
    """
    of_a, of_b = found.runs
    better = "B is better" if found.difference > 0 else "A is better"
    head = better if found.is_settled else "Not settled" if found.difference else "No difference"
    signed = [found.difference, *map(float, found.interval)]
    form = precision([*found.means, *signed], signed)
    interval = f"{100 * confidence_of(found.looks):.4g} % interval {span(found.interval, form)}"
    figures = (
        f"B {found.means[1]:{form}}, A {found.means[0]:{form}}, difference {found.difference:{form}} "
        f"({interval if found.has_variance else 'no interval'}), "
        f"P(B > A) = {found.improvement:.2f}{_improvement_interval(found)}, of {of_b} and {of_a} runs"
    )
    return f"{head}: {figures}{'' if found.is_settled else _advice(found)}"


def _advice(found: Comparison) -> str:
    if not found.has_variance:
        return "; the scores of neither side vary, which says nothing about further seeds: compare on a harder task"
    if found.runs_to_settle is None:
        return "; if there is a difference, a thousand runs of each would not settle it"
    of_a, of_b = (max(found.runs_to_settle - runs, 0) for runs in found.runs)
    more = f"{counted(of_a, 'more seed')} of A and {of_b} of B"
    return f"; if the difference is as estimated, about {more} would settle it by `compare --looks {found.looks_again}`"


def _improvement_interval(found: Comparison) -> str:
    """The interval of P(B > A), or "" where there are too few runs for a bootstrap to mean anything."""
    return f" ({span(found.improvement_interval, '.2f')})" if min(found.runs) >= _MIN_RUNS else ""
