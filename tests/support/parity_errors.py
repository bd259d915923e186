"""The errors that updates tell replay of, collected by the examples' keys and compared."""

import numpy as np

from tfdqn.learning.updater import UpdateResult


def keep_errors(errors: np.ndarray, result: UpdateResult) -> None:
    """By the transitions' keys."""
    assert result.priorities is not None
    (keys,) = result.priorities.keys.T
    assert np.isnan(errors[keys]).all()
    errors[keys] = result.priorities.errors


def largest_difference(ours: np.ndarray, theirs: np.ndarray, parts: int) -> float:
    """Relative to 1 and to the error; ours must all be known, of theirs one of the parts."""
    known = ~np.isnan(theirs)
    assert known.sum() * parts == known.size == (~np.isnan(ours)).sum()
    return float((np.abs(ours - theirs) / (1 + np.abs(ours)))[known].max())
