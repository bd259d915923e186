"""What episodes scored: their bootstrap interval."""

import numpy as np
import pytest

from tfdqn.evaluation.evaluator import scores
from tfdqn.randomness import stream


@pytest.mark.parametrize("elements", [1, 7, 1_000, 10**9])
def test_the_interval_is_the_same_however_much_is_drawn_at_a_time(
    elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    returns = np.random.default_rng(3).normal(size=23)
    resampled = stream(0, "bootstrap").choice(returns, (2_000, 23)).mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    monkeypatch.setattr("tfdqn.randomness._DRAWN_AT_A_TIME", elements)
    found = scores(returns, np.ones(23))
    assert (found.ci_low, found.ci_high) == (low, high)


def test_many_episodes_are_scored_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Generator:
        def __init__(self, real: np.random.Generator):
            self.real, self.largest = real, 0

        def integers(self, high: int, size: tuple[int, int]) -> np.ndarray:
            self.largest = max(self.largest, size[0] * size[1])
            return self.real.integers(high, size=size)

    drawn = Generator(np.random.default_rng(0))
    monkeypatch.setattr("tfdqn.evaluation.evaluator.stream", lambda seed, name: drawn)
    scores(np.arange(3_000.0), np.ones(3_000))
    assert 0 < drawn.largest <= 1_000_000
