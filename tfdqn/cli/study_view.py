"""The output of `tfdqn inspect` for a study of `tfdqn tune`."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from tfdqn.cli.seeds import statistics_rows
from tfdqn.cli.tables import WholeTable, pairs_table
from tfdqn.config import toml
from tfdqn.records import Status
from tfdqn.tuning.seed_results import SeedsReport
from tfdqn.tuning.study_report import StudyReport
from tfdqn.tuning.trial_records import in_words, value_in_short


def rendered(report: StudyReport) -> RenderableType:
    """Lays out a study: a row for each trial, then the best one, and why trials have failed."""
    keys = list(dict.fromkeys(key for each in report.trials for key in each.values))
    table = WholeTable("trial", "state", right=("evaluations", "best evaluation", "score", *keys))
    for each in report.trials:
        returns = ("" if figure is None else f"{figure:,.2f}" for figure in (each.best_return, each.score))
        values = (value_in_short(each.values[key]) if key in each.values else "" for key in keys)
        table.add_row(str(each.number), each.state, f"{each.evaluations:,}", *returns, *values)
    counts = ", ".join(in_words(report.counts)) or "none yet"
    of_wanted = "" if report.wanted is None else f"{report.ended} of {report.wanted} have ended: "
    rows = [("study", report.path), ("trials", f"{of_wanted}{counts}")]
    if (best := next((each for each in report.trials if each.number == report.best), None)) is not None:
        rows += best_rows(best.number, best.score, {}, best.run)
    rows += [("its configuration", report.best_config)] if report.best_config else []
    rows += _fresh_seeds(report.fresh_seeds)
    rows += [(f"trial {each.number} failed", each.why) for each in report.trials if each.why]
    rows += [("page", report.page)] if report.page else []
    rows += [("status", _standing(report))]
    return Group(table, Text(), pairs_table(rows)) if report.trials else pairs_table(rows)


def _fresh_seeds(report: SeedsReport | None) -> Iterable[tuple[str, str]]:
    if report is None:
        return
    if report.status is not Status.FINISHED:
        finished = sum(each.status == "finished" for each in report.seeds)
        yield "its fresh seeds", f"{finished} of {len(report.seeds)} finished"
    yield from statistics_rows("its fresh seeds", report.final)


def _standing(report: StudyReport) -> str:
    """How a study stands, in words, and the command to go on."""
    if report.workers:
        return f"worked on by {', '.join(report.workers)}"
    if report.status is Status.FINISHED:
        return "finished"
    return f"not finished; to go on:\n{report.resume}" if report.resume else "not finished"


def best_rows(number: int, score: float | None, values: Mapping[str, object], run: Path | str) -> list[tuple[str, str]]:
    """The rows of a study's best trial: its score, its values by key, and its run."""
    written = [(key, toml.written(value)) for key, value in values.items()]
    return [("best", f"trial {number}, mean return {score:,.2f}"), *written, ("its run", str(run))]
