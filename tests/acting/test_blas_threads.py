"""BLAS has one thread while any block asks for it, and as many as before when the last has ended."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tfdqn.acting.blas_threads import one_blas_thread


def threads() -> dict[str, int]:
    """The number of threads of each BLAS library, NumPy's among them."""
    np.ones(2) @ np.ones(2)
    return {each["filepath"]: each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_blocks_that_overlap_put_the_threads_back_when_the_last_has_ended() -> None:
    with threadpool_limits(2, "blas"):
        before = threads()
        first, second = one_blas_thread(), one_blas_thread()
        for enter_or_exit in (first.__enter__, second.__enter__, lambda: first.__exit__(None, None, None)):
            enter_or_exit()
            assert set(threads().values()) == {1} != set(before.values())
        second.__exit__(None, None, None)
        assert threads() == before


def test_an_error_inside_puts_the_threads_back() -> None:
    with threadpool_limits(2, "blas"):
        before = threads()
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            raise ZeroDivisionError
        assert threads() == before
