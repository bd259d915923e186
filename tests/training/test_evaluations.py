"""A run that goes on evaluates when that is due, and no weights for a second time."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.evaluation.evaluator import Evaluator
from tfdqn.records import Counters
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import EvaluationLine
from tfdqn.training.evaluations import Evaluations

NONE: Any = None


def resumed(
    total: int,
    counters: tuple[int, int, int],
    made: list[EvaluationLine],
    path: Path,
    best: Any,
    best_return: float = 20.0,
) -> tuple:
    """When the next is due, which weights count as evaluated, since when there is no best, and what is kept.

    The interval is 300 environment steps, the checkpoint counts 7 evaluations since the best, and a return of 90 ends
    the run.
    """
    config = tiny("evaluation.interval_env_steps=300", f"stop.env_steps={total}", "stop.return_at_least=90.0")
    evaluator = Evaluator(NONE, NONE, NONE, config)
    evaluator.best_weights, evaluator.best_return = best, best_return
    evaluations = Evaluations(evaluator, NONE, RunDir(path), config)
    env_steps, train_steps, due = counters
    counts = {"next_evaluation_env_steps": due, "evaluations_without_best": 7}
    evaluations.resume(Counters(env_steps=env_steps, train_steps=train_steps, **counts), made)
    without_best = evaluations.evaluations_without_best
    return evaluations.next_env_steps, evaluations.evaluated_train_steps, without_best, evaluations.kept_env_steps


def made(*last: tuple[int, int]) -> list[EvaluationLine]:
    """Evaluations, the last of which began at so many environment steps, of weights with so many updates."""
    first = EvaluationLine(300, 75, is_best=True)
    return [first, *(EvaluationLine(env_steps, train_steps) for env_steps, train_steps in last)]


@pytest.mark.parametrize(
    ("total", "counters", "evaluations", "expected"),
    [
        (1_000, (1_000, 250, 1_200), made((1_000, 250)), (1_200, 250, 1, 1_000)),
        (1_000, (1_000, 250, 1_000), made((1_000, 250)), (1_200, 250, 1, 1_000)),
        (1_000, (1_000, 240, 1_000), made((900, 225), (1_000, 250)), (1_000, 225, 7, 999)),
        (1_000, (1_000, 240, 1_200), made((900, 225), (1_000, 250)), (1_200, 225, 7, 999)),
        (1_000, (1_024, 250, 1_200), made((1_024, 250)), (1_200, 250, 1, 1_024)),
        (2_000, (950, 230, 1_000), made((900, 225)), (1_200, 225, 7, 950)),
        (1_100, (1_000, 250, 1_200), made((1_000, 250)), (1_100, 250, 1, 1_000)),
        (2_000, (1_024, 230, 1_000), made((900, 230)), (1_200, 230, 1, 1_024)),
        (2_000, (620, 150, 600), made(), (600, 75, 7, 620)),
        (2_000, (620, 150, 600), made((620, 150)), (900, 150, 1, 620)),
        (2_000, (620, 150, 600), made((620, 155), (900, 225)), (600, 75, 7, 619)),
        (2_000, (620, 150, 0), made((600, 145), (900, 225)), (900, 145, 1, 899)),
        (1_000, (1_000, 250, 0), made((900, 225), (1_016, 250)), (1_200, 250, 2, 1_016)),
        (1_000, (1_000, 250, 0), made((900, 225)), (1_000, 225, 1, 1_000)),
    ],
    ids=[
        "counted",
        "of the checkpoint's weights, after it",
        "of later weights",
        "of later weights, after the checkpoint of an earlier version",
        "counted, of a rollout beyond the end",
        "stopped before an end that is later now",
        "ended, with an end before the next interval now",
        "ended without an update after the last evaluation",
        "interrupted",
        "interrupted, and made after the checkpoint",
        "interrupted, and made of later weights",
        "a job's",
        "a job's last, after the last checkpoint",
        "a job's last, interrupted",
    ],
)
def test_it_goes_on_where_the_checkpoint_was_made(
    total: int,
    counters: tuple[int, int, int],
    evaluations: list[EvaluationLine],
    expected: tuple[int, int, int, int],
    tmp_path: Path,
) -> None:
    assert resumed(total, counters, evaluations, tmp_path, best={}) == expected


def test_without_a_best_policy_the_last_weights_are_evaluated_again(tmp_path: Path) -> None:
    last = made((1_000, 250))
    assert resumed(1_000, (1_000, 250, 1_200), last, tmp_path, best=None) == (1_200, None, 7, 999)


def test_all_stand_where_a_return_ends_the_run_though_they_are_later_than_the_checkpoint(tmp_path: Path) -> None:
    job = made((900, 225), (960, 230))  # of the last weights, after the steps that actors took meanwhile
    assert resumed(2_000, (950, 230, 0), job, tmp_path, best={}, best_return=90.0)[1:] == (230, 2, 960)
    assert resumed(2_000, (950, 230, 0), job, tmp_path, best={}, best_return=89.0)[-1] == 959
    last = made((900, 225), (1_200, 300))
    assert resumed(2_000, (950, 230, 1_200), last, tmp_path, best={}, best_return=90.0)[-1] == 1_200
    assert resumed(2_000, (950, 230, 1_200), last, tmp_path, best={}, best_return=89.0)[-1] == 1_199


def test_evaluations_are_due_at_multiples_of_their_interval(tmp_path: Path) -> None:
    config = tiny("evaluation.interval_env_steps=500", "stop.env_steps=9_000")
    evaluations = Evaluations(Evaluator(NONE, NONE, NONE, config), NONE, RunDir(tmp_path), config)
    assert [evaluations._due_after(at) for at in (0, 499, 500, 1_250)] == [500, 500, 1_000, 1_500]
