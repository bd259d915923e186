"""Scores of greedy episodes, with a bootstrap interval of their mean return; resampling."""

from collections.abc import Iterator

import numpy as np

from tfdqn.randomness import stream
from tfdqn.records import EpisodeScores

_BOOTSTRAP_SAMPLES = 2_000
_DRAWN_AT_A_TIME = 1_000_000


def scores(returns: np.ndarray, lengths: np.ndarray, seed: int = 0) -> EpisodeScores:
    """Scores of N episodes by their returns float64[N] and lengths int64[N]; the seed draws the bootstrap's samples."""
    resampled = draws(len(returns), _BOOTSTRAP_SAMPLES, stream(seed, "bootstrap"))
    low, high = np.percentile(np.concatenate([returns[rows].mean(axis=1) for rows in resampled]), [2.5, 97.5])
    return EpisodeScores(
        episodes=len(returns),
        mean_return=float(returns.mean()),
        std_return=float(returns.std()),
        median_return=float(np.median(returns)),
        ci_low=float(low),
        ci_high=float(high),
        mean_length=float(lengths.mean()),
    )


def draws(count: int, resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Which of `count` things each resample holds, drawn with replacement: int64[some, count], `resamples` in all.

    They come in parts, to save memory, and are the same however large those are.
    """
    rows = max(_DRAWN_AT_A_TIME // count, 1)
    for done in range(0, resamples, rows):
        yield rng.integers(count, size=(min(rows, resamples - done), count))
