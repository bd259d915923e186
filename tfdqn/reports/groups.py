"""`read_report`: groups runs that differ in their seed alone; `improvements`: compares each two groups."""

from collections.abc import Callable, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfdqn.reports.configurations import Configuration, agent_of, differing_keys, grouped, labels, require_one_task
from tfdqn.reports.finished_runs import FinishedRun, read_runs
from tfdqn.reports.run_search import without_trials
from tfdqn.reports.statistics import (
    Interval,
    interquartile_mean,
    percentile_bootstrap_interval,
    probability_of_improvement,
)


class Group(NamedTuple):
    """Runs of one configuration."""

    number: int  # from 1, for the group with the highest interquartile mean
    label: str  # the algorithm, and the keys in which the group differs from others of that algorithm
    runs: list[FinishedRun]

    @property
    def configuration(self) -> Configuration:
        """The configuration of all of its runs."""
        return self.runs[0].configuration

    @property
    def name(self) -> str:
        """The number and the label."""
        return f"{self.number}. {self.label}"

    @property
    def scores(self) -> np.ndarray:
        """The runs' scores, float64[runs]."""
        return np.array([run.score for run in self.runs])


class Improvement(NamedTuple):
    """The probability that a run of one group scores higher than a run of another."""

    better: Group  # the one with the higher interquartile mean
    other: Group
    probability: float
    interval: Interval | None  # 95 %, by percentile bootstrap; None if a group has a single run


class Report(NamedTuple):
    """The groups of a task's runs."""

    task: str  # its id
    threshold: float | None  # the return from which the task counts as learned
    groups: list[Group]  # by their numbers

    @property
    def runs(self) -> list[FinishedRun]:
        """The runs of all groups."""
        return [run for group in self.groups for run in group.runs]

    @property
    def differing_keys(self) -> list[str]:
        """The keys of the configuration in which the groups differ."""
        return differing_keys([group.configuration for group in self.groups])

    @property
    def unlabelled_keys(self) -> list[str]:
        """Those of them that some group's label leaves out, apart from what follows from the kind of agent."""

        def is_labelled(key: str) -> bool:
            if key == "agent.kind":  # each label begins with it
                return True
            all_groups_have_it = all(key in group.configuration for group in self.groups)
            owners = [group for group in self.groups if all_groups_have_it or group.label.endswith("…")]
            return all(f"{key}=" in group.label for group in owners if key in group.configuration)

        return [key for key in self.differing_keys if not is_labelled(key)]


def read_report(
    paths: Sequence[Path | str], threshold: float | None = None, say: Callable[[str], None] | None = None
) -> Report:
    """Reads finished runs and groups those that differ in their seed alone, without trials beside fresh seeds.

    If `threshold`, the return from which the task counts as learned, is None, it is `stop.return_at_least`, if all runs
    have the same. `paths` and `say` are as in `read_runs`.

    Raises RunDirError as `read_runs`, UserError if the runs are of different tasks.
    """
    runs = read_runs(paths, say)
    task = require_one_task(runs)
    found = without_trials(grouped(runs), say or (lambda line: None))
    configurations = [alike[0].configuration for alike in found]
    names = [agent_of(each) for each in configurations]
    groups = [Group(0, label, alike) for label, alike in zip(labels(configurations, names), found, strict=True)]
    groups.sort(key=lambda group: -interquartile_mean(group.scores))
    if threshold is None:
        thresholds = {each.get("stop.return_at_least") for each in configurations}
        threshold = thresholds.pop() if len(thresholds) == 1 else None
    return Report(task, threshold, [group._replace(number=number) for number, group in enumerate(groups, 1)])


def improvements(report: Report, most: int | None = None) -> list[Improvement]:
    """Compares each two groups, beginning with the best and each other one; `most`: so many pairs at most."""
    return [_improvement(better, other) for better, other in islice(combinations(report.groups, 2), most)]


def _improvement(better: Group, other: Group) -> Improvement:
    scores = better.scores, other.scores
    interval = None
    if min(map(len, scores)) > 1:
        interval = percentile_bootstrap_interval(probability_of_improvement, *scores)
    return Improvement(better, other, probability_of_improvement(*scores), interval)
