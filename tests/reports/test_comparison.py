"""`compare`: Student's t and Welch's interval against SciPy, the advice against its own promise, what is refused."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from tests.support.reported_runs import reported_run, seeds, tuned
from tfdqn.errors import UserError
from tfdqn.reports.comparison import compare, compare_runs, runs_to_settle, student_t_cdf, student_t_quantile


@pytest.mark.parametrize("freedom", [1.0, 1.7, 4.0, 30.5, 2_000.0])
def test_student_s_distribution_is_scipy_s(freedom: float) -> None:
    for t in (-30.0, -2.0, 0.0, 0.3, 2.5, 12.0):
        assert student_t_cdf(t, freedom) == pytest.approx(scipy.stats.t.cdf(t, freedom), abs=1e-9)
    assert student_t_quantile(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=1e-7)


@pytest.mark.parametrize("counts", [(2, 2), (3, 8), (12, 5)])
def test_the_interval_is_welch_s(counts: tuple[int, int]) -> None:
    rng = np.random.default_rng(counts[1])
    ours, theirs = rng.normal(3, 1, counts[0]), rng.normal(4, 5, counts[1])
    found = compare(ours, theirs)
    known = scipy.stats.ttest_ind(theirs, ours, equal_var=False)
    interval = known.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((interval.low, interval.high), rel=1e-6)
    assert found.is_settled == (known.pvalue < 0.05)
    assert found.improvement == scipy.stats.mannwhitneyu(theirs, ours).statistic / (counts[0] * counts[1])


def test_b_s_difference_is_from_a() -> None:
    found = compare(np.array([10.0, 11.0, 12.0]), np.array([1.0, 2.0, 3.0]))
    assert (found.difference, found.improvement, found.is_settled) == (-9.0, 0.0, True)
    assert found.means == (11.0, 2.0) and "array" not in repr(found)


def test_scores_that_are_all_alike_are_compared_as_they_are() -> None:
    found = compare(np.full(3, 500.0), np.full(3, 500.0))
    assert (found.difference, found.is_settled, found.runs_to_settle) == (0.0, False, None)
    found = compare(np.full(3, 499.0), np.full(4, 500.0))
    assert (found.difference, found.is_settled, found.runs_to_settle) == (1.0, False, None)
    assert compare(np.full(5, 499.0), np.array([500.0, 501.0, 500.5])).is_settled


def test_equal_scores_do_not_vary_although_their_mean_is_rounded() -> None:
    ours, theirs = np.full(3, 0.1), np.full(3, 0.2)
    assert ours.var() > 0  # by rounding: the mean is 0.10000000000000002
    found = compare(ours, theirs)
    assert (found.has_variance, found.is_settled, found.runs_to_settle) == (False, False, None)
    assert compare(ours, np.array([0.1, 0.2, 0.3])).has_variance


def test_each_of_several_looks_has_its_share_of_the_errors() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(0, 1, 5), rng.normal(1, 1, 6)
    known = scipy.stats.ttest_ind(theirs, ours, equal_var=False)
    for looks, confidence in ((1, 0.95), (2, 0.975), (4, 0.9875)):
        found, interval = compare(ours, theirs, looks), known.confidence_interval(confidence)
        assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-6)
    first, second = compare(ours, theirs), compare(ours, theirs, 2)
    assert first.runs_to_settle == second.runs_to_settle == runs_to_settle(ours, theirs, 0.975)
    wider, narrower = (compare(ours, theirs, looks).improvement_interval for looks in (2, 1))
    assert wider.low <= narrower.low and wider.high >= narrower.high


def test_the_runs_that_settle_it_are_those_of_four_tests_in_five() -> None:
    """Scores whose means differ by 1 and whose deviations are 1: the table of t tests has 17 of each."""
    scores = np.array([-1.0, 0.0, 1.0])
    assert runs_to_settle(scores, scores + 1) == 17
    ours, theirs = (np.random.default_rng(mean).normal(mean, 1, (3_000, 17)) for mean in (0, 1))
    is_settled = scipy.stats.ttest_ind(theirs, ours, axis=1, equal_var=False).pvalue < 0.05
    assert 0.78 < is_settled.mean() < 0.84


def test_no_number_of_runs_settles_what_is_hardly_there() -> None:
    scores = np.array([-1.0, 0.0, 1.0])
    assert runs_to_settle(scores, scores + 0.01) is None
    assert runs_to_settle(scores, scores) is None


def test_sides_of_several_folders_are_put_together(tmp_path: Path) -> None:
    paths = [seeds(tmp_path / "a", [1, 2]), reported_run(tmp_path / "c", 3.0, seed=3)]
    found = compare_runs(paths, [seeds(tmp_path / "b", [5, 6], ["agent.n_step=2"])])
    assert (found.runs, found.means) == ((3, 2), (2.0, 5.5))


def test_what_can_t_be_compared_is_one_line(tmp_path: Path) -> None:
    a = seeds(tmp_path / "a", [1, 2])
    other = seeds(tmp_path / "b", [5, 6], ["agent.n_step=2", "learner.batch_size=64"])
    task = seeds(tmp_path / "t", [5, 6], ["task.id=Acrobot-v1"])
    study = tuned(tmp_path / "study")
    trial, fresh = study / "trials" / "001", study / "best" / "trial-001"
    refused = {
        "B holds runs of different configurations: they differ in agent.n_step, learner.batch_size": ([a], [a, other]),
        "A is a single run: a comparison needs at least two seeds on each side": ([a / "seed-1"], [other]),
        "seed-1 is on both sides": ([a], [a]),
        "the runs are of different tasks": ([a], [task]),
        "trials/001 is a trial of a search, .* on the side of B: leave it out": ([a], [trial, fresh]),
    }
    for said, sides in refused.items():
        with pytest.raises(UserError, match=said):
            compare_runs(*sides)
