"""Statistics of many runs: against rliable's own results, SciPy, brute force, and every resample there is."""

from itertools import product

import numpy as np
import pytest
import scipy.stats

from tests.support.golden_files import golden
from tfdqn.reports.statistics import (
    interquartile_mean,
    optimality_gap,
    percentile_bootstrap_interval,
    performance_profile,
    probability_of_improvement,
)

CASES = ("three", "five", "many")


def case_of(name: str) -> dict[str, np.ndarray]:
    """A case whose scores of X and Y are float64[runs]; rliable takes [runs, tasks]."""
    case = golden(name, "rliable_statistics")
    return case | {side: case[side][:, 0] for side in "xy"}


@pytest.mark.parametrize("name", CASES)
def test_each_statistic_is_what_rliable_makes_it(name: str) -> None:
    case, settings = case_of(name), golden("settings", "rliable_statistics")
    assert interquartile_mean(case["x"]) == pytest.approx(case["iqm"], abs=1e-12)
    gaps = [optimality_gap(case["x"], target) for target in settings["gammas"]]
    np.testing.assert_allclose(gaps, case["gaps"], atol=1e-12)
    np.testing.assert_allclose(performance_profile(case["x"], settings["thresholds"]), case["profile"], atol=1e-12)
    assert probability_of_improvement(case["x"], case["y"]) == pytest.approx(case["improvement"], abs=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_intervals_are_rliables_within_the_chance_of_their_draws(name: str) -> None:
    """Both draw 10,000 resamples of their own; a quantile that moves by more than a tenth of the width is wrong."""
    case = case_of(name)
    ours = [
        percentile_bootstrap_interval(interquartile_mean, case["x"], resamples=10_000),
        percentile_bootstrap_interval(probability_of_improvement, case["x"], case["y"], resamples=10_000),
    ]
    for found, known in zip(ours, (case["iqm_interval"], case["improvement_interval"]), strict=True):
        np.testing.assert_allclose(found, known, atol=0.1 * (known[1] - known[0]) + 1e-12)


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 21, 50])
def test_the_interquartile_mean_is_scipys_trimmed_one(runs: int) -> None:
    scores = np.random.default_rng(1).standard_cauchy(runs)
    assert interquartile_mean(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25))


def test_a_draw_counts_half() -> None:
    # 3 > 2, 3 = 3, 1 < 2, 1 < 3: (1 + 0.5) / 4.
    assert probability_of_improvement(np.array([3.0, 1.0]), np.array([2.0, 3.0])) == 0.375


def test_the_interval_holds_the_middle_of_every_resample_there_is() -> None:
    scores = np.array([0.0, 1.0, 5.0, 20.0])
    means = [np.mean(each) for each in product(scores, repeat=4)]
    found = percentile_bootstrap_interval(np.mean, scores, resamples=20_000)
    np.testing.assert_allclose(found, np.quantile(means, [0.025, 0.975]), atol=0.3)


def test_a_statistic_that_is_an_array_has_an_interval_for_each_element() -> None:
    scores = np.random.default_rng(2).normal(size=8)
    thresholds = np.array([-1.0, 0.0, 1.0])
    low, high = percentile_bootstrap_interval(lambda drawn: performance_profile(drawn, thresholds), scores)
    alone = percentile_bootstrap_interval(lambda drawn: performance_profile(drawn, thresholds)[1], scores)
    assert low.shape == high.shape == (3,)
    assert (low[1], high[1]) == alone


def test_an_interval_is_always_the_same_and_one_of_nothing_is_refused() -> None:
    scores = np.random.default_rng(3).normal(size=9)
    assert percentile_bootstrap_interval(np.mean, scores) == percentile_bootstrap_interval(np.mean, scores)
    with pytest.raises(ValueError, match="at least one run"):
        percentile_bootstrap_interval(np.mean, scores, np.array([]))
