"""A worker that dies with the result of what it had done costs that result, and not the learner."""

from queue import SimpleQueue
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.learning.strategies.parameter_server import AsynchronousUpdater
from tfdqn.learning.update_loop import METRICS

GONE = tf.errors.UnavailableError(None, None, "failed to connect to all addresses")


def ended(fetch_fails: Exception | None, closure_fails: Exception | None) -> AsynchronousUpdater:
    """Whose one closure under way has ended so."""

    def fetch(scheduled: object) -> np.ndarray:
        if error := closure_fails or fetch_fails:
            raise error
        return np.ones((3, METRICS + 2))

    updates = object.__new__(AsynchronousUpdater)
    scheduled = SimpleNamespace(_get_error=lambda: closure_fails)
    updates._coordinator = SimpleNamespace(schedule=lambda *_, **__: scheduled, fetch=fetch)
    updates._closure, updates._samples, updates._ended = None, None, SimpleQueue()
    updates._under_way = 1
    updates._run_closure()
    return updates


def test_a_result_is_taken() -> None:
    assert ended(None, None)._wait().shape == (3, METRICS + 2)


def test_a_result_that_is_lost_with_its_worker_is_none() -> None:
    updates = ended(GONE, None)
    assert updates._wait().shape == (0, METRICS + 2)
    assert updates._under_way == 0


@pytest.mark.parametrize("error", [GONE, tf.errors.InvalidArgumentError(None, None, "NaN"), KeyError("a")])
def test_what_a_closure_fails_by_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        ended(None, error)._wait()
