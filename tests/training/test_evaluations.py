"""A run that goes on evaluates when that is due, and what is evaluated already only if its checkpoint lacks it."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.evaluation.evaluator import Evaluator
from tfdqn.records import Counters, Standing
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.evaluations import Evaluations

NONE: Any = None


def resumed(total: int, counters: tuple[int, int, int], last: Standing, path: Path, best: Any) -> tuple[int, Any]:
    """When the next is due, and which weights count as evaluated; the interval is 300 environment steps."""
    evaluator = Evaluator(NONE, NONE, NONE, tiny("evaluation.interval_env_steps=300"))
    evaluator.best_weights = best
    evaluations = Evaluations(evaluator, NONE, RunDir(path), total)
    env_steps, train_steps, due = counters
    evaluations.resume(Counters(env_steps=env_steps, train_steps=train_steps, next_evaluation_env_steps=due), last)
    return evaluations.next_env_steps, evaluations.evaluated_train_steps


@pytest.mark.parametrize(
    ("total", "counters", "last", "expected"),
    [
        (1_000, (1_000, 250, 1_200), Standing(1_000, 250), (1_200, 250)),
        (1_000, (1_000, 250, 1_000), Standing(1_000, 250), (1_000, None)),
        (1_000, (1_000, 240, 1_200), Standing(1_000, 250), (1_200, None)),
        (1_000, (1_024, 250, 1_200), Standing(1_024, 250), (1_200, 250)),
        (2_000, (950, 230, 1_000), Standing(900, 225), (1_200, 225)),
        (1_100, (1_000, 250, 1_200), Standing(1_000, 250), (1_100, 250)),
        (2_000, (1_024, 230, 1_000), Standing(900, 230), (1_200, 230)),
        (2_000, (620, 150, 600), Standing(300, 75), (600, 75)),
        (2_000, (620, 150, 600), Standing(620, 150), (600, None)),
    ],
    ids=[
        "counted",
        "made after the checkpoint",
        "made after the checkpoint of an earlier version",
        "counted, of a rollout beyond the end",
        "stopped before an end that is later now",
        "ended, with an end before the next interval now",
        "ended without an update after the last evaluation",
        "interrupted",
        "interrupted, and made after the checkpoint",
    ],
)
def test_it_goes_on_where_the_checkpoint_was_made(
    total: int, counters: tuple[int, int, int], last: Standing, expected: tuple[int, int | None], tmp_path: Path
) -> None:
    assert resumed(total, counters, last, tmp_path, best={}) == expected


def test_without_a_best_policy_the_last_weights_are_evaluated_again(tmp_path: Path) -> None:
    assert resumed(1_000, (1_000, 250, 1_200), Standing(1_000, 250), tmp_path, best=None) == (1_200, None)
