"""A worker that dies with the result of what it had done costs that result, and not the learner."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager.executor import Executor, new_executor

from tfdqn.learning.strategies.parameter_server import fetch_result, quiet_executors

GONE = tf.errors.UnavailableError(None, None, "failed to connect to all addresses")


def fetched(fetch_fails: Exception | None, closure_fails: Exception | None) -> np.ndarray:
    """Of a closure that has ended so."""

    def fetch(scheduled: object) -> np.ndarray:
        if error := closure_fails or fetch_fails:
            raise error
        return np.ones((3, 8))

    scheduled = SimpleNamespace(_get_error=lambda: closure_fails)
    return fetch_result(SimpleNamespace(fetch=fetch), scheduled)


def test_a_result_is_taken() -> None:
    assert fetched(None, None).shape == (3, 8)


def test_a_result_that_is_lost_with_its_worker_is_none() -> None:
    assert fetched(GONE, None) is None


@pytest.mark.parametrize("error", [GONE, tf.errors.InvalidArgumentError(None, None, "NaN"), KeyError("a")])
def test_what_a_closure_fails_by_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        fetched(None, error)


@pytest.mark.parametrize(("error", "is_shown"), [(GONE, False), (ValueError("a fault"), True)])
def test_an_executor_is_deleted_without_a_traceback_when_its_process_was_lost(
    monkeypatch: pytest.MonkeyPatch, error: Exception, is_shown: bool
) -> None:
    def wait(_: Executor) -> None:
        raise error

    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    quiet_executors.__wrapped__()
    executor = new_executor(enable_async=False)
    monkeypatch.setattr(Executor, "wait", wait)
    del executor
    assert bool(shown) == is_shown
