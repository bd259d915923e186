"""Scores of greedy episodes, with a bootstrap interval of their mean return."""

import numpy as np

from tfdqn.randomness import stream
from tfdqn.records import EpisodeScores

_BOOTSTRAP_SAMPLES = 2_000
_BOOTSTRAP_ELEMENTS = 1_000_000  # drawn at a time


def scores(returns: np.ndarray, lengths: np.ndarray, seed: int = 0) -> EpisodeScores:
    """Scores of N episodes by their returns float64[N] and lengths int64[N]; the seed draws the bootstrap's samples."""
    low, high = np.percentile(_resampled_means(returns, stream(seed, "bootstrap")), [2.5, 97.5])
    return EpisodeScores(
        episodes=len(returns),
        mean_return=float(returns.mean()),
        std_return=float(returns.std()),
        median_return=float(np.median(returns)),
        ci_low=float(low),
        ci_high=float(high),
        mean_length=float(lengths.mean()),
    )


def _resampled_means(returns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means float64[_BOOTSTRAP_SAMPLES] of samples of N returns, drawn with replacement; in parts, to save memory."""
    rows = max(_BOOTSTRAP_ELEMENTS // len(returns), 1)
    means = [
        rng.choice(returns, (min(rows, _BOOTSTRAP_SAMPLES - done), len(returns))).mean(axis=1)
        for done in range(0, _BOOTSTRAP_SAMPLES, rows)
    ]
    return np.concatenate(means)
