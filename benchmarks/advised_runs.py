"""How often does the number of runs that `compare` advises find the difference, in simulations?

    python -m benchmarks.advised_runs [--trials 1000]

In each trial, both sides have a few runs whose scores differ by a known number of standard deviations. If `compare` is
not settled by them, as many runs as it advises are added, and they are compared once more: the difference is found if
the interval then lies above 0. Where a thousand runs would not be enough, nothing is added or found. Each is simulated
with `--looks` 1 and 2. Where there is no difference, the share of all trials is given that find one all the same.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.measure import argument_parser, report
from tfdqn.reports.comparison import confidence_of, runs_to_settle, welch_interval

FAILING = 0.3  # the share of runs that fail completely, in the second kind of scores
FAILURE = -4.0  # a failed run's score, in standard deviations of the other runs
RUNS = (3, 5, 10)
DIFFERENCES = (0.0, 0.5, 1.0, 2.0)  # in standard deviations of a side's scores
LOOKS = (1, 2)

Scores = Callable[[np.random.Generator, int], np.ndarray]  # (generator, N) → float64[N], of standard deviation 1


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--trials", type=int, default=1_000)
    options = parser.parse_args()
    results = {
        f"{kind}, {runs} runs, difference {difference}, looks {looks}": _simulated(
            scores, runs, difference, confidence_of(looks), options.trials
        )
        for kind, scores in {"normal": _normal, "three in ten fail": _some_fail}.items()
        for runs in RUNS
        for difference in DIFFERENCES
        for looks in LOOKS
    }
    report("advised_runs", {"trials": options.trials}, results)


def _simulated(
    scores: Scores, runs: int, difference: float, confidence: float, trials: int
) -> dict[str, float | int | None]:
    """How many comparisons the first runs leave open, and the share of these that the advice settles rightly.

    Without a difference: the share of all comparisons that find one.
    """
    generator = np.random.default_rng(0)
    found, first = [], 0  # second comparisons: whether B was found better, A, or neither; first ones that were settled
    for _ in range(trials):
        ours, theirs = scores(generator, runs), scores(generator, runs) + difference
        if _better(ours, theirs, confidence):
            first += 1
            continue
        more = (runs_to_settle(ours, theirs, confidence) or runs) - runs
        ours = np.append(ours, scores(generator, more))
        theirs = np.append(theirs, scores(generator, more) + difference)
        found.append(_better(ours, theirs, confidence))
    if not difference:
        return {"wrongly_found": (first + np.count_nonzero(found)) / trials}
    return {"found": float(np.mean(np.equal(found, 1))) if found else None, "not_settled": len(found)}


def _better(ours: np.ndarray, theirs: np.ndarray, confidence: float) -> int:
    """1 if B is found to be better, -1 if A is, 0 if neither."""
    interval = welch_interval(ours, theirs, confidence)
    return int(interval.low > 0) - int(interval.high < 0)


def _normal(generator: np.random.Generator, size: int) -> np.ndarray:
    return generator.standard_normal(size)


def _some_fail(generator: np.random.Generator, size: int) -> np.ndarray:
    scores = np.where(generator.random(size) < FAILING, FAILURE, generator.standard_normal(size))
    variance = (1 - FAILING) + FAILING * (1 - FAILING) * FAILURE**2
    return scores / np.sqrt(variance)


if __name__ == "__main__":
    main()
