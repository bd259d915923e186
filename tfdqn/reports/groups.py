"""A report's groups: runs that differ in their seed alone, what they scored together, and each group beside another."""

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfdqn.reports.configurations import Configuration, differing_keys, grouped, labels
from tfdqn.reports.finished_runs import FinishedRun, read_runs, require_one_task
from tfdqn.reports.statistics import (
    Interval,
    interquartile_mean,
    probability_of_improvement,
    stratified_bootstrap_interval,
)


class Group(NamedTuple):
    """Runs of one configuration."""

    number: int  # 1: the best, by its IQM
    label: str  # says in what it differs from the other groups
    configuration: Configuration
    runs: list[FinishedRun]

    @property
    def name(self) -> str:
        return f"{self.number}. {self.label}"

    @property
    def scores(self) -> np.ndarray:
        """float64[runs]."""
        return np.array([run.score for run in self.runs])


class Improvement(NamedTuple):
    """That a run of one group scores higher than one of another."""

    better: Group  # by its IQM
    other: Group
    probability: float
    interval: Interval | None  # 95 %, by stratified bootstrap; None where a group has one run


class Report(NamedTuple):
    """What is reported of."""

    task: str
    threshold: float | None  # the return from which the task counts as learned
    groups: list[Group]

    @property
    def differing_keys(self) -> list[str]:
        return differing_keys([group.configuration for group in self.groups])


def read_report(
    paths: Sequence[Path | str], threshold: float | None = None, say: Callable[[str], None] | None = None
) -> Report:
    """The runs at these paths, or in folders there, grouped by whatever their configurations differ in but the seed.

    Args:
      paths: run directories, or folders with runs in them.
      threshold: by default `stop.return_at_least`, where all have the same.
      say: as that of `read_runs`.

    Raises RunDirError for what is no finished run, UserError where the runs are of different tasks.
    """
    runs = read_runs(paths, say)
    task = require_one_task(runs)
    found = grouped((run.configuration, run) for run in runs)
    configurations = [configuration for configuration, _ in found]
    names = [str(each["agent.kind"]).replace("_", " ") for each in configurations]
    groups = [Group(0, label, *each) for label, each in zip(labels(configurations, names), found, strict=True)]
    groups.sort(key=lambda group: -interquartile_mean(group.scores))
    if threshold is None:
        thresholds = {each["stop.return_at_least"] for each in configurations}
        threshold = thresholds.pop() if len(thresholds) == 1 else None
    return Report(task, threshold, [group._replace(number=number) for number, group in enumerate(groups, 1)])


def improvements(report: Report) -> list[Improvement]:
    """Each two groups beside one another, first the best beside all others."""
    return [_improvement(better, other) for better, other in combinations(report.groups, 2)]


def _improvement(better: Group, other: Group) -> Improvement:
    scores = better.scores, other.scores
    interval = None
    if min(map(len, scores)) > 1:
        interval = stratified_bootstrap_interval(probability_of_improvement, *scores)
    return Improvement(better, other, probability_of_improvement(*scores), interval)
