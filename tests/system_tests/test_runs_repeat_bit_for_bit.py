"""A run repeats bit for bit, and so does one that was cut short at random moments and resumed."""

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from tests.support.tiny_runs import (
    assert_same_arrays,
    by_loop_alone,
    everything,
    latest,
    lines,
    policy_weights,
    tiny,
    tiny_pqn,
)
from tfdqn.config import Acting, Config, Ensemble
from tfdqn.evaluation.evaluator import Evaluator
from tfdqn.records import Evaluation
from tfdqn.training.call import train

# Compiled, as by default. Checkpoints come by the clock, so that no two runs save at the same moments.
EXACT = tiny(
    "replay.backend=in_graph",
    "learner.schedule=alternate",
    "learner.xla=auto",
    "agent.n_step=3",
    "checkpoint.interval_seconds=0.05",
    "checkpoint.max_time_share=1",
)


ROLLOUTS = tiny_pqn("learner.xla=auto", "checkpoint.interval_seconds=0.05", "checkpoint.max_time_share=1")
BOOTSTRAPPED = msgspec.structs.replace(EXACT, ensemble=Ensemble(size=3, acting="member"))
PLAIN = msgspec.structs.replace(EXACT, learner=msgspec.structs.replace(EXACT.learner, xla="off"))
TWO_ACTORS = msgspec.structs.replace(PLAIN, acting=Acting(actors=2))  # whose updates are those of one


class Replicated(NamedTuple):
    """A run that nothing cut short."""

    config: Config
    run: Path
    moments: int  # at which it could have been: between two acts or updates, or within an evaluation


class Killed(BaseException):
    """Ends a run at once, with nothing saved: no part of the program catches it."""


def at(moment: int, then: Callable[[], bool]) -> Callable[[], bool]:
    """An `interrupted` for `train` that does `then` from a moment of its loop on."""
    counter = itertools.count()
    return by_loop_alone(lambda: next(counter) >= moment and then())


def kill() -> bool:
    raise Killed


def timeless(run: Path) -> list[dict[str, Any]]:
    """A run's evaluations, without what the clock decides."""
    return [
        {name: value for name, value in line.items() if name != "seconds"} for line in lines(run / "evaluations.jsonl")
    ]


@pytest.fixture(
    scope="module",
    params=[EXACT, ROLLOUTS, *(pytest.param(each, marks=pytest.mark.long) for each in (TWO_ACTORS, BOOTSTRAPPED))],
    ids=["one actor", "rollouts", "two actors", "bootstrapped"],
)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replicated:
    run, moments = tmp_path_factory.mktemp("whole") / "run", []
    assert train(request.param, run, interrupted=at(0, lambda: moments.append(1) is not None)).status == "finished"
    return Replicated(request.param, run, len(moments))


def test_the_same_seed_gives_the_same_compiled_run_bit_for_bit(whole: Replicated, tmp_path: Path) -> None:
    train(whole.config, tmp_path / "again")
    assert_same_arrays(everything(whole.run), everything(tmp_path / "again"))


@pytest.mark.parametrize("seed", [1, *(pytest.param(each, marks=pytest.mark.long) for each in (2, 3))])
def test_a_run_that_was_cut_short_at_random_moments_ends_like_one_that_was_not(
    whole: Replicated, tmp_path: Path, seed: int
) -> None:
    """Killed once, which loses what came after the last checkpoint, then stopped once as a user stops it."""
    run, (first, second) = tmp_path / "run", np.random.default_rng(seed).uniform(0.1, 0.9, 2)
    with pytest.raises(Killed):
        train(whole.config, run, interrupted=at(int(first * whole.moments), kill))
    left = int((1 - first) * whole.moments)
    stopped = train(whole.config, run, interrupted=at(int(second * left), lambda: True))
    finished = train(whole.config, run)
    assert (stopped.status, finished.status) == ("interrupted", "finished")
    assert 0 < stopped.env_steps < finished.env_steps
    assert_same_arrays(everything(whole.run), everything(run))
    assert finished.episodes == latest(whole.run).counters.episodes
    assert timeless(run) == timeless(whole.run)


def test_an_evaluation_that_was_cut_short_is_made_again_of_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints are made during an evaluation too, and a run that resumes from one has that evaluation to make."""
    train(PLAIN, tmp_path / "whole")
    often = msgspec.structs.replace(
        PLAIN, checkpoint=msgspec.structs.replace(PLAIN.checkpoint, interval_seconds=1e-3, max_time_share=1.0)
    )
    evaluated, under_way = Evaluator.evaluate, threading.Event()

    def evaluate(self: Evaluator, env_steps: int, on_step: Callable[[], None]) -> Evaluation:
        steps = itertools.count()

        def step() -> None:
            on_step()
            if next(steps) == 3:
                under_way.set()

        return evaluated(self, env_steps, step)

    for name, end in (("killed", kill), ("stopped", lambda: True)):
        run = tmp_path / name
        under_way.clear()
        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(Evaluator, "evaluate", evaluate)
            first = train(often, run, interrupted=at(0, lambda end=end: under_way.is_set() and end()))
            assert (name, first.status) == ("stopped", "interrupted")
        assert not lines(run / "evaluations.jsonl")
        assert train(PLAIN, run).status == "finished"
        assert timeless(run) == timeless(tmp_path / "whole")
        assert_same_arrays(policy_weights(tmp_path / "whole", "best"), policy_weights(run, "best"))


def test_two_actors_are_not_one(tmp_path: Path) -> None:
    """Both wrote what was learned from, and both act by random numbers of their own."""
    train(TWO_ACTORS, tmp_path / "run")
    arrays = latest(tmp_path / "run").arrays("actor")
    env_steps = [int(arrays[f"{i}/env_steps"]) for i in range(2)]
    assert sum(env_steps) == latest(tmp_path / "run").counters.env_steps
    assert abs(env_steps[0] - env_steps[1]) < 0.2 * sum(env_steps)
    states = [arrays[f"{i}/task/observation/observation"] for i in range(2)]
    assert (states[0] != states[1]).all(axis=1).any()


@pytest.mark.parametrize(("before", "now"), [(1, 2), (2, 1)])
def test_another_number_of_actors_goes_on_with_fresh_episodes_and_says_so(
    tmp_path: Path, before: int, now: int
) -> None:
    run, said = tmp_path / "run", []
    configs = [msgspec.structs.replace(PLAIN, acting=Acting(actors=actors)) for actors in (before, now)]
    stopped = train(configs[0], run, interrupted=at(250, lambda: True))
    finished = train(configs[1], run, say=said.append)
    assert f"fresh episodes are started: acting.actors was {before}, is {now}" in said[1]
    assert 0 < stopped.env_steps < finished.env_steps < EXACT.stop.env_steps + EXACT.task.num_envs
    assert stopped.episodes < finished.episodes
