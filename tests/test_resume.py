"""A compiled run repeats bit for bit, and so does one that was cut short at random moments and resumed."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.runs import assert_same_arrays, everything, latest, tiny
from tfdqn.experiment import train

# Compiled, as by default. Checkpoints come by the clock, so that no two runs save at the same moments.
EXACT = tiny(
    "replay.backend=in_graph",
    "learner.schedule=alternate",
    "learner.xla=auto",
    "agent.n_step=3",
    "checkpoint.interval_seconds=0.05",
)


class Whole(NamedTuple):
    """A run that nothing cut short."""

    run: Path
    moments: int  # at which it could have been: between two acts or updates, or within an evaluation


class Killed(BaseException):
    """Ends a run at once, with nothing saved: no part of the program catches it."""


def at(moment: int, then: Callable[[], bool]) -> Callable[[], bool]:
    """An `interrupted` for `train` that does `then` from a moment on."""
    counter = itertools.count()
    return lambda: next(counter) >= moment and then()


def kill() -> bool:
    raise Killed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    run, moments = tmp_path_factory.mktemp("whole") / "run", itertools.count()
    assert train(EXACT, run, interrupted=lambda: next(moments) < 0).status == "finished"
    return Whole(run, next(moments))


def test_the_same_seed_gives_the_same_compiled_run_bit_for_bit(whole: Whole, tmp_path: Path) -> None:
    train(EXACT, tmp_path / "again")
    assert_same_arrays(everything(whole.run), everything(tmp_path / "again"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_that_was_cut_short_at_random_moments_ends_like_one_that_was_not(
    whole: Whole, tmp_path: Path, seed: int
) -> None:
    """Killed once, which loses what came after the last checkpoint, then stopped once as a user stops it."""
    run, (first, second) = tmp_path / "run", np.random.default_rng(seed).uniform(0.1, 0.9, 2)
    with pytest.raises(Killed):
        train(EXACT, run, interrupted=at(int(first * whole.moments), kill))
    left = int((1 - first) * whole.moments)
    stopped = train(EXACT, run, interrupted=at(int(second * left), lambda: True))
    finished = train(EXACT, run)
    assert (stopped.status, finished.status) == ("interrupted", "finished")
    assert 0 < stopped.env_steps < finished.env_steps
    assert_same_arrays(everything(whole.run), everything(run))
    assert finished.episodes == latest(whole.run).counters.episodes
