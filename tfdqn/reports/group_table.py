"""The statistics of a report's groups, and its tables of text, for a terminal and for a page."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from tfdqn.reports.groups import Group, Improvement, Report
from tfdqn.reports.statistics import Interval, interquartile_mean, optimality_gap, percentile_bootstrap_interval
from tfdqn.system.interval import duration

_MORE_DECIMALS = 6


class GroupStatistics(NamedTuple):
    """Statistics of the scores of a group's runs, and of the steps and time that they took."""

    interquartile_mean: float
    interval: Interval | None  # of the interquartile mean: 95 %, by percentile bootstrap; None for a single run
    mean: float
    median: float
    optimality_gap: float | None  # None without a threshold
    reached: int  # how many runs have an evaluation that reached the threshold
    steps_to_threshold: float  # the median over runs; infinite if half of them have not reached it
    seconds: float  # of training; the median
    env_steps_per_second: float  # the median

    @property
    def returns(self) -> list[float]:
        """Those of the statistics that are returns."""
        interval = [] if self.interval is None else [float(each) for each in self.interval]
        gap = [] if self.optimality_gap is None else [self.optimality_gap]
        return [self.interquartile_mean, *interval, self.mean, self.median, *gap]


class Table(NamedTuple):
    """A table of text; the first column names what a row is about."""

    columns: list[str]
    rows: list[list[str]]


def statistics(group: Group, threshold: float | None) -> GroupStatistics:
    """The statistics of one group. `threshold` is a return; None: those that need one are left out."""
    scores = group.scores
    steps = [math.inf if threshold is None else run.steps_to(threshold) for run in group.runs]
    return GroupStatistics(
        interquartile_mean=interquartile_mean(scores),
        interval=percentile_bootstrap_interval(interquartile_mean, scores) if len(scores) > 1 else None,
        mean=float(scores.mean()),
        median=float(np.median(scores)),
        optimality_gap=None if threshold is None else optimality_gap(scores, threshold),
        reached=sum(map(math.isfinite, steps)),
        steps_to_threshold=float(np.median(steps)),
        seconds=float(np.median([run.summary.seconds for run in group.runs])),
        env_steps_per_second=float(np.median([run.env_steps_per_second for run in group.runs])),
    )


def group_table(report: Report) -> Table:
    """A row for each group, the best first; without a threshold, the columns that need one are left out."""
    columns = ["group", "runs", "IQM", "95 % interval", "mean", "median"]
    columns += [] if report.threshold is None else ["gap", f"steps to {report.threshold:g}", "reached"]
    all_found = [statistics(group, report.threshold) for group in report.groups]
    form = precision(value for found in all_found for value in found.returns)
    rows = []
    for group, found in zip(report.groups, all_found, strict=True):
        row = [group.name, str(len(group.runs)), format(found.interquartile_mean, form)]
        row += ["–" if found.interval is None else span(found.interval, form)]
        row += [format(found.mean, form), format(found.median, form)]
        if found.optimality_gap is not None:
            reached = f"{found.reached} of {len(group.runs)}"
            row += [format(found.optimality_gap, form), steps(found.steps_to_threshold), reached]
        rows.append([*row, duration(found.seconds), f"{found.env_steps_per_second:,.0f}"])
    return Table([*columns, "time", "steps/s"], rows)


def run_table(report: Report) -> Table:
    """A row for each run."""
    columns = ["run", "seed", "score", "best while training", "steps", "time", "why it ended"]
    returns = [(run.score, run.final.std_return, float(run.evaluation.values.max())) for run in report.runs]
    form = precision(chain(*returns))
    rows = [
        [
            str(run.path),
            str(run.seed),
            f"{score:{form}} ± {deviation:{form}}",
            format(best, form),
            steps(run.summary.env_steps),
            duration(run.summary.seconds),
            run.summary.reason,
        ]
        for run, (score, deviation, best) in zip(report.runs, returns, strict=True)
    ]
    return Table(columns, rows)


def improvement_table(found: Sequence[Improvement]) -> Table:
    """A row for each pair of groups."""
    columns = ["X", "Y", "P(X > Y)", "95 % interval"]
    rows = []
    for each in found:
        interval = "–" if each.interval is None else span(each.interval, ".2f")
        rows.append([each.better.name, each.other.name, f"{each.probability:.2f}", interval])
    return Table(columns, rows)


def key_table(report: Report) -> Table:
    """A row for each key in which the groups differ, with its value in each group."""
    rows = [
        [key, *(str(group.configuration.get(key, "–")) for group in report.groups)] for key in report.differing_keys
    ]
    return Table(["key", *(group.name for group in report.groups)], rows)


def precision(values: Iterable[float], signed: Iterable[float] = ()) -> str:
    """The format specification by which numbers of one unit are written with the same decimals.

    The largest has four digits, or all before its point: 0.1235, 12.35, 12,346. Zeros at the end of all are left out.
    There are more decimals, up to six, where one of `signed`, whose sign matters, would be written as 0 and is not.
    """
    shown = list(values)
    largest = max(map(abs, shown), default=0.0)
    decimals = max(3 - math.floor(math.log10(largest)), 0) if largest else 0
    while decimals and all(round(each, decimals) == round(each, decimals - 1) for each in shown):
        decimals -= 1
    nonzero = [each for each in signed if round(each, decimals + _MORE_DECIMALS)]  # others are but rounding
    while not all(round(each, decimals) for each in nonzero):
        decimals += 1
    return f"z,.{decimals}f"


def span(interval: Interval, form: str) -> str:
    """An interval in words: "1.5 to 2.0". `form` is a format specification."""
    low, high = (format(float(each), form) for each in interval)
    return f"{low} to {high}"


def steps(count: float) -> str:
    """A number of environment steps, or "never" if it is infinite."""
    return f"{count:,.0f}" if math.isfinite(count) else "never"
