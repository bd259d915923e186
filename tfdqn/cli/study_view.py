"""The output of `tfdqn inspect` for a study of `tfdqn tune`."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from tfdqn.cli.tables import WholeTable, pairs_table
from tfdqn.config import toml
from tfdqn.tuning.study_report import StudyReport


def rendered(report: StudyReport) -> RenderableType:
    """Lays out a study: a row for each trial, then the best one, and why trials have failed."""
    keys = list(dict.fromkeys(key for each in report.trials for key in each.values))
    table = WholeTable("trial", "state", right=("evaluations", "best evaluation", "score", *keys))
    for each in report.trials:
        returns = ("" if figure is None else f"{figure:,.2f}" for figure in (each.best_return, each.score))
        values = (_shown(each.values[key]) if key in each.values else "" for key in keys)
        table.add_row(str(each.number), each.state, f"{each.evaluations:,}", *returns, *values)
    rows = [("study", report.path), ("trials", ", ".join(report.counts) or "none yet")]
    if (best := next((each for each in report.trials if each.number == report.best), None)) is not None:
        rows += best_rows(best.number, best.score, {}, best.run)
    rows += [(f"trial {each.number} failed", each.why) for each in report.trials if each.why]
    rows += [("page", report.page)] if report.page else []
    return Group(table, Text(), pairs_table(rows)) if report.trials else pairs_table(rows)


def best_rows(number: int, score: float | None, values: Mapping[str, object], run: Path | str) -> list[tuple[str, str]]:
    """The rows of a study's best trial: its score, its values by key, and its run."""
    written = [(key, toml.written(value)) for key, value in values.items()]
    return [("best", f"trial {number}, mean return {score:,.2f}"), *written, ("its run", str(run))]


def _shown(value: object) -> str:
    """A value as TOML has it; a number with four digits, which say enough where many are compared."""
    return f"{value:.4g}" if isinstance(value, float) else toml.written(value)
