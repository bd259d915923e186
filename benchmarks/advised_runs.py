"""How often does the number of runs that `compare` advises find the difference, in simulations?

    python -m benchmarks.advised_runs [--trials 1000]

In each trial, both sides have a few runs whose scores differ by a known number of standard deviations. If `compare` is
not settled by them, as many runs as it advises are added, and they are compared once more: the difference is found if
the interval then lies above 0. Where a thousand runs would not be enough, nothing is added or found.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.measure import argument_parser, report
from tfdqn.reports.comparison import runs_to_settle, welch_interval

FAILING = 0.3  # the share of runs that fail completely, in the second kind of scores
FAILURE = -4.0  # a failed run's score, in standard deviations of the other runs
RUNS = (3, 5, 10)
DIFFERENCES = (0.5, 1.0, 2.0)  # in standard deviations of a side's scores

Scores = Callable[[np.random.Generator, int], np.ndarray]  # (generator, N) → float64[N], of standard deviation 1


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--trials", type=int, default=1_000)
    options = parser.parse_args()
    results = {
        f"{kind}, {runs} runs, difference {difference}": _found(scores, runs, difference, options.trials)
        for kind, scores in {"normal": _normal, "three in ten fail": _some_fail}.items()
        for runs in RUNS
        for difference in DIFFERENCES
    }
    report("advised_runs", {"trials": options.trials}, results)


def _found(scores: Scores, runs: int, difference: float, trials: int) -> dict[str, float | None]:
    """Of the comparisons that were not settled: the share that the advice settles rightly, and how many there are."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(trials):
        ours, theirs = scores(generator, runs), scores(generator, runs) + difference
        before = welch_interval(ours, theirs)
        if before.low > 0 or before.high < 0:
            continue
        more = (runs_to_settle(ours, theirs) or runs) - runs
        ours = np.append(ours, scores(generator, more))
        theirs = np.append(theirs, scores(generator, more) + difference)
        found.append(welch_interval(ours, theirs).low > 0)
    return {"found": float(np.mean(found)) if found else None, "not_settled": len(found)}


def _normal(generator: np.random.Generator, size: int) -> np.ndarray:
    return generator.standard_normal(size)


def _some_fail(generator: np.random.Generator, size: int) -> np.ndarray:
    scores = np.where(generator.random(size) < FAILING, FAILURE, generator.standard_normal(size))
    variance = (1 - FAILING) + FAILING * (1 - FAILING) * FAILURE**2
    return scores / np.sqrt(variance)


if __name__ == "__main__":
    main()
