"""What greedy episodes scored: statistics of their returns, and the record of an evaluation."""

import numpy as np
from msgspec import Struct

from tfdqn.randomness import stream

_BOOTSTRAP_SAMPLES = 2_000
_BOOTSTRAP_ELEMENTS = 1_000_000  # drawn at a time


class EpisodeScores(Struct, frozen=True, kw_only=True):
    """Statistics of finished greedy episodes. Returns are undiscounted sums of the task's own rewards."""

    episodes: int
    mean_return: float
    std_return: float
    median_return: float
    ci_low: float  # of the mean: 95 % percentile bootstrap
    ci_high: float
    mean_length: float  # environment steps


class Evaluation(Struct, frozen=True, kw_only=True):
    """One evaluation during training."""

    env_steps: int  # taken when it began
    train_steps: int  # of the weights evaluated
    scores: EpisodeScores
    is_best: bool


def scores(returns: np.ndarray, lengths: np.ndarray, seed: int = 0) -> EpisodeScores:
    """Mean, standard deviation, median and a bootstrap interval of episodes' returns."""
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
    """Means of so many samples of all returns, drawn with replacement; a part at a time, to spare memory."""
    rows = max(_BOOTSTRAP_ELEMENTS // len(returns), 1)
    means = [
        rng.choice(returns, (min(rows, _BOOTSTRAP_SAMPLES - done), len(returns))).mean(axis=1)
        for done in range(0, _BOOTSTRAP_SAMPLES, rows)
    ]
    return np.concatenate(means)
