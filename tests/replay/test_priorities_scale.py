"""Priorities of errors, and what stands for one that is not known."""

import numpy as np

from tfdqn.config import Priorities
from tfdqn.replay.priorities import PriorityScale


def scaled(scale: PriorityScale, *errors: float) -> list[float]:
    return scale(np.array(errors, np.float32)).tolist()


def test_an_error_that_is_not_known_counts_as_the_largest_so_far() -> None:
    scale = PriorityScale(Priorities(exponent=0.6, epsilon=0.25))
    assert scaled(scale, np.nan, 0.5) == [1.0, 0.75]  # 1 at first
    assert scaled(scale, np.nan, 3.0, 0.0) == [3.25, 3.25, 0.25]  # those of the same call count already
    assert scaled(scale, 2.0, np.nan) == [2.25, 3.25]
    assert scaled(scale, np.nan, np.nan) == [3.25, 3.25]
    assert scaled(scale) == []
    scale.raise_to(3.0)
    assert scale.largest == 3.25
    scale.raise_to(4.0)
    assert scaled(scale, np.nan) == [4.0]
