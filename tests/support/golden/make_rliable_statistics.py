"""Makes `rliable_statistics.npz`: random scores of runs, and what rliable, the library of Agarwal et al. 2021, says of
them.

It brings SciPy, pandas and statsmodels, so this runs in an environment of its own:

    python3.11 -m venv /tmp/rliable && /tmp/rliable/bin/pip install rliable==1.2.0 arch==7.2.0 pandas==2.3.3
    /tmp/rliable/bin/python tests/support/golden/make_rliable_statistics.py

Scores are rounded, so that some are equal, in one matrix and across the two, and equal to thresholds.
"""

from pathlib import Path

import numpy as np
from rliable import library, metrics

THRESHOLDS = np.array([-1.0, -0.3, 0.0, 0.2, 0.5, 1.0, 3.0])
GAMMAS = (1.0, 0.4)
REPS = 10_000
Arrays = dict[str, np.ndarray]


def scores(rng: np.random.Generator, runs: int) -> np.ndarray:
    """float64[runs, 1], heavy-tailed: rliable takes the scores of several tasks, and here is one."""
    return np.round(rng.standard_t(3, size=(runs, 1)) * 0.5 + rng.normal(size=1) * 0.3, 1)


def interval(data: dict, statistic: object, seed: int) -> np.ndarray:
    """float64[2, ...]: rliable's percentile interval."""
    draws = np.random.RandomState(seed)
    return np.asarray(library.get_interval_estimates(data, statistic, reps=REPS, random_state=draws)[1]["it"])


def case(rng: np.random.Generator, runs: int, other_runs: int) -> Arrays:
    x, y = scores(rng, runs), scores(rng, other_runs)
    found = {
        "x": x,
        "y": y,
        "iqm": metrics.aggregate_iqm(x),
        "gaps": np.array([metrics.aggregate_optimality_gap(x, gamma) for gamma in GAMMAS]),
        "improvement": metrics.probability_of_improvement(x, y),
        "profile": library.create_performance_profile({"it": x}, THRESHOLDS, reps=10)[0]["it"],
        "iqm_interval": interval({"it": x}, lambda s: np.array([metrics.aggregate_iqm(s)]), 1)[:, 0],
        "improvement_interval": interval(
            {"it": (x, y)}, lambda s, t: np.array([metrics.probability_of_improvement(s, t)]), 2
        )[:, 0],
    }
    return {name: np.asarray(value, np.float64) for name, value in found.items()}


rng = np.random.default_rng(7)
RUNS = {"three": (3, 3), "five": (5, 4), "many": (23, 31)}
arrays = {"settings/thresholds": THRESHOLDS, "settings/gammas": np.array(GAMMAS)}
for label, runs in RUNS.items():
    arrays |= {f"{label}/{name}": value for name, value in case(rng, *runs).items()}
np.savez_compressed(Path(__file__).with_name("rliable_statistics.npz"), **arrays)
