"""Means of episodes, as the comparisons print them."""

from typing import Any

import numpy as np

from tfdqn.evaluation.evaluator import scores


def mean_of(name: str, values: np.ndarray) -> dict[str, Any]:
    """The mean of float64[N] under its name, and its 95 % bootstrap interval."""
    found = scores(values, np.ones(len(values)))
    return {
        name: round(found.mean_return, 2),
        f"{name}, 95 % interval": [round(found.ci_low, 2), round(found.ci_high, 2)],
    }
