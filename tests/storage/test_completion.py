"""Whether a finished run still stands: one rule for training, `launch`, `inspect` and reports."""

from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from tests.support.run_files import a_summary, finish
from tests.support.tiny_runs import tiny
from tfdqn.records import Counters, Summary
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.completion import (
    finished_summary,
    last_results,
    newest_checkpoint,
    overrides_to_go_on,
    reason_to_stop,
    still_stands,
)
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import write_summary

ENDED = Counters(env_steps=1_200, train_steps=250, evaluations_without_best=2)


def test_a_run_that_stands_as_it_ended_still_stands() -> None:
    assert tiny().evaluation.final_episodes == 4
    assert still_stands(a_summary(), tiny(), ENDED, has_evaluator=True)


@pytest.mark.parametrize(
    ("found", "overrides", "counters"),
    [
        (a_summary(train_steps=240), (), ENDED),
        (a_summary(), ("stop.env_steps=1_600",), ENDED),
        (a_summary(), ("evaluation.final_episodes=6",), ENDED),
        (a_summary(final=None), (), ENDED),
    ],
    ids=["it went on", "it may go on", "other episodes are asked for", "none were played"],
)
def test_a_run_that_has_more_to_do_does_not(found: Summary, overrides: tuple[str, ...], counters: Counters) -> None:
    assert not still_stands(found, tiny(*overrides), counters, has_evaluator=True)


@pytest.mark.parametrize("condition", ["stop.return_at_least=20", "stop.patience_evaluations=2"])
def test_a_condition_that_ended_it_before_its_steps_were_taken_ends_it_still(condition: str) -> None:
    config = tiny("stop.env_steps=9_000", condition)
    assert still_stands(a_summary(), config, ENDED, has_evaluator=True)


def test_the_steps_that_end_a_run_are_those_of_its_budget_whatever_has_been_taken_beyond() -> None:
    """The summary, a line below, counts what the actors of a job have taken meanwhile."""
    given = {"best_return": None, "evaluations_without_best": 0}
    assert reason_to_stop(tiny().stop, is_done=False, **given) is None
    reason = reason_to_stop(tiny().stop, is_done=True, **given)
    assert reason == "the budget of 1,200 environment steps was reached"


def test_without_an_evaluator_no_episodes_are_asked_for() -> None:
    assert still_stands(a_summary(final=None), tiny(), ENDED, has_evaluator=False)


@pytest.mark.parametrize(
    ("overrides", "more"),
    [
        ((), ["stop.env_steps=2400"]),
        (("stop.return_at_least=20",), ["stop.env_steps=2400", "stop.return_at_least=none"]),
        (("stop.return_at_least=21",), ["stop.env_steps=2400"]),
        (("stop.env_steps=9_000", "stop.return_at_least=20"), ["stop.return_at_least=none"]),
        (("stop.env_steps=9_000", "stop.patience_evaluations=2"), ["stop.patience_evaluations=0"]),
        (("stop.patience_evaluations=2",), ["stop.env_steps=2400", "stop.patience_evaluations=0"]),
        (("stop.patience_evaluations=3",), ["stop.env_steps=2400"]),
    ],
)
def test_what_ended_it_is_lifted_to_train_it_further(overrides: tuple[str, ...], more: list[str]) -> None:
    config = tiny("stop.env_steps=1_200", *overrides)
    assert still_stands(a_summary(), config, ENDED, has_evaluator=True)
    assert overrides_to_go_on(a_summary(), config.stop, ENDED) == more
    assert not still_stands(a_summary(), tiny("stop.env_steps=1_200", *overrides, *more), ENDED, has_evaluator=True)


@pytest.mark.parametrize(
    ("has", "budget", "beyond"),
    [(403_193, 8_000, 408_000), (1_204, 1_200, 2_400), (15_999, 8_000, 24_000), (1_200, 500, 1_500)],
)
def test_the_steps_to_go_on_with_are_more_than_the_run_has(has: int, budget: int, beyond: int) -> None:
    summary, counters = a_summary(env_steps=has), structs.replace(ENDED, env_steps=has)
    stop = tiny(f"stop.env_steps={budget}").stop
    assert overrides_to_go_on(summary, stop, counters) == [f"stop.env_steps={beyond}"]


def test_to_ask_whether_a_run_has_finished_leaves_it_its_configuration(tmp_path: Path) -> None:
    run, other = RunDir(tmp_path), tiny("stop.env_steps=1_100")
    with run.claim(tiny()):
        pass
    with run.claim(other):
        finish(run.path, 9.5)
        assert finished_summary(run, other, has_evaluator=True) is not None
    assert run.config() == other


@pytest.mark.parametrize(
    ("train_steps", "overrides", "is_believed"),
    [
        (250, (), True),
        (260, (), False),
        (240, (), False),
        (250, ("stop.env_steps=1_600",), False),
        (250, ("evaluation.final_episodes=6",), True),
        (None, ("stop.env_steps=1_600",), True),
    ],
    ids=["as it ended", "updated since", "updates were lost", "to go on", "other episodes", "no checkpoint"],
)
def test_what_a_run_has_come_to(
    tmp_path: Path, train_steps: int | None, overrides: tuple[str, ...], is_believed: bool
) -> None:
    run = RunDir(tmp_path)
    write_summary(run.summary_file, a_summary())
    if train_steps is not None:
        counters = structs.replace(ENDED, train_steps=train_steps)
        CheckpointManager(run.checkpoints).save(counters, {"learner": {"a": np.zeros(1)}}, lambda folder: None)
    found = last_results(run, tiny(*overrides), newest_checkpoint(run))
    assert (found is not None) == is_believed
    assert last_results(RunDir(tmp_path / "nowhere"), tiny(), None) is None


def test_damaged_checkpoints_are_none(tmp_path: Path) -> None:
    finish(tmp_path, 9.5)
    run = RunDir(tmp_path)
    assert newest_checkpoint(run) is not None
    for manifest in run.checkpoints.glob("*/*.json"):
        manifest.write_text("{")
    assert newest_checkpoint(run) is None
