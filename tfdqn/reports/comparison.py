"""`compare`: whether the runs of B score higher than those of A, by how much, and how many runs would settle it.

The difference of mean scores has Welch's confidence interval, recommended by Colas et al. 2019, "A hitchhiker's guide
to statistical comparisons of reinforcement learning algorithms" (arXiv:1904.06979), sections 4 and 5: with few runs its
coverage is right, whereas bootstrap intervals are too narrow. The number of runs that would settle it comes from the
power analysis of Colas et al. 2018, "How many random seeds?" (arXiv:1806.08295), section 4.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from tfdqn.errors import UserError
from tfdqn.reports.configurations import differing_keys, key_differences, require_one_task
from tfdqn.reports.finished_runs import FinishedRun, read_runs
from tfdqn.reports.run_search import WHY_LEFT_OUT, unselected
from tfdqn.reports.statistics import CONFIDENCE, Interval, percentile_bootstrap_interval, probability_of_improvement

_POWER = 0.8
_MOST_RUNS = 1_000
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


class Comparison(NamedTuple):
    """The scores of B compared with those of A."""

    runs: tuple[int, int]  # how many A and B have
    means: tuple[float, float]  # A's and B's
    difference: float  # B's mean minus A's
    looks: int  # how often these are compared in all, each time with more runs
    interval: Interval  # of the difference: Welch's, of the confidence that `confidence_of` the looks is
    improvement: float  # P(B > A)
    improvement_interval: Interval  # likewise, by percentile bootstrap
    runs_to_settle: int | None  # runs that each side would need in all at a further look; None: more than a thousand
    key_differences: Mapping[str, tuple[str, str]] = MappingProxyType({})  # A's and B's values of keys that differ

    @property
    def is_settled(self) -> bool:
        """Whether zero lies outside the interval of the difference; without variance there is no interval."""
        return self.has_variance and bool(self.interval.low > 0 or self.interval.high < 0)

    @property
    def has_variance(self) -> bool:
        """Whether the scores of a side vary: if not, nothing is known of what further seeds would score."""
        return bool(self.interval.low < self.interval.high)

    @property
    def looks_again(self) -> int:
        """How many looks there are in all, at least, if these are compared again."""
        return max(self.looks, 2)


def compare_runs(ours: Sequence[Path | str], theirs: Sequence[Path | str], looks: int = 1) -> Comparison:
    """Compares A's runs, `ours`, with B's by their scores; each side's may differ in their seed alone.

    `looks` says how often they are compared in all, each time with more runs: as of `compare`.

    Raises RunDirError for a run that has not finished or can't be read, and UserError if a side has a single run or
    several configurations, or a trial of a search beside fresh seeds, if a run is on both sides, or if the two are of
    different tasks.
    """
    sides = {"A": read_runs(ours), "B": read_runs(theirs)}
    require_one_task(chain(*sides.values()))
    for name, runs in sides.items():
        if keys := differing_keys([run.configuration for run in runs]):
            raise UserError(f"{name} holds runs of different configurations: they differ in {', '.join(keys)}")
        if trials := unselected(runs)[1]:
            raise UserError(f"{trials[0]} {WHY_LEFT_OUT} on the side of {name}: leave it out")
        if len(runs) < 2:
            raise UserError(f"{name} is a single run: a comparison needs at least two seeds on each side, better five")
    if both := {run.path.resolve() for run in sides["A"]} & {run.path.resolve() for run in sides["B"]}:
        raise UserError(f"{min(both)} is on both sides")
    between = key_differences(*(runs[0].configuration for runs in sides.values()))
    return compare(_scores(sides["A"]), _scores(sides["B"]), looks)._replace(key_differences=between)


def compare(ours: np.ndarray, theirs: np.ndarray, looks: int = 1) -> Comparison:
    """Compares the scores float64[N] of A with float64[M] of B; N and M must be at least 2.

    A comparison that is repeated with more runs until it is settled finds a difference that doesn't exist more often
    than in one case of twenty. So if there are `looks` comparisons in all, each has a share of the 5 % (Bonferroni).
    """
    confidence = confidence_of(looks)
    found = Comparison(
        runs=(len(ours), len(theirs)),
        means=(float(ours.mean()), float(theirs.mean())),
        difference=float(theirs.mean() - ours.mean()),
        looks=looks,
        interval=welch_interval(ours, theirs, confidence),
        improvement=probability_of_improvement(theirs, ours),
        improvement_interval=percentile_bootstrap_interval(
            probability_of_improvement, theirs, ours, confidence=confidence
        ),
        runs_to_settle=None,
    )
    return found._replace(runs_to_settle=runs_to_settle(ours, theirs, confidence_of(found.looks_again)))


def confidence_of(looks: int) -> float:
    """The confidence of the intervals of each of so many comparisons, which together err in about 5 % of cases."""
    return 1 - (1 - CONFIDENCE) / looks


def welch_interval(ours: np.ndarray, theirs: np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """Welch's confidence interval of the difference of means, of scores float64[N] and float64[M]."""
    difference = theirs.mean() - ours.mean()
    error, freedom = _welch(_variances(ours, theirs), (len(ours), len(theirs)))
    margin = error * student_t_quantile(freedom, confidence) if error else 0.0
    return Interval(difference - margin, difference + margin)


def runs_to_settle(ours: np.ndarray, theirs: np.ndarray, confidence: float = CONFIDENCE) -> int | None:
    """The fewest runs on each side with which Welch's test finds the present difference with probability 0.8.

    It assumes that the true difference and standard deviations are the present ones, which is a rough guess if there
    are few runs: `benchmarks.advised_runs` simulates how often the advised number of runs finds the difference.

    Returns None if more than a thousand are needed, or if the scores of neither side vary.
    """
    difference, variances = abs(theirs.mean() - ours.mean()), _variances(ours, theirs)

    def power(runs: int) -> float:
        error, freedom = _welch(variances, (runs, runs))
        return student_t_cdf(difference / error - student_t_quantile(freedom, confidence), freedom)

    if not any(variances):
        return None
    counts = range(max(len(ours), len(theirs)), _MOST_RUNS + 1)
    enough = bisect_left(counts, _POWER, key=power)  # the power grows with the number of runs
    return counts[enough] if enough < len(counts) else None


def _scores(runs: Sequence[FinishedRun]) -> np.ndarray:
    return np.array([run.score for run in runs])


def _variances(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    return _variance(ours), _variance(theirs)


def _variance(scores: np.ndarray) -> float:
    """The sample variance; 0 of equal scores, whose mean may differ from them by rounding, as that of 0.1 three times.

    Else a difference between two sides whose scores don't vary would count as settled.
    """
    return float(scores.var(ddof=1)) if np.ptp(scores) else 0.0


def _welch(variances: tuple[float, float], runs: tuple[int, int]) -> tuple[float, float]:
    """(standard error of the difference of two means, degrees of freedom by Welch and Satterthwaite)."""
    parts = [variance / count for variance, count in zip(variances, runs, strict=True)]
    spread = sum(part**2 / (count - 1) for part, count in zip(parts, runs, strict=True))
    return math.sqrt(sum(parts)), sum(parts) ** 2 / spread if spread else math.inf


def student_t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The t between whose negative and itself Student's distribution with `freedom` degrees of freedom has so much."""
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        is_beyond = student_t_cdf(middle, freedom) > (1 + confidence) / 2
        low, high = (low, middle) if is_beyond else (middle, high)
    return high


def student_t_cdf(t: float, freedom: float) -> float:
    """The cumulative distribution function of Student's t with `freedom` degrees of freedom.

    Integrated numerically: with x = sqrt(freedom) tan(a), the density becomes a multiple of cos(a)^(freedom - 1).
    """
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    end = math.atan(t / math.sqrt(freedom))
    return 0.5 + scale * end / 2 * float(_WEIGHTS @ np.cos(end / 2 * (_NODES + 1)) ** (freedom - 1))
