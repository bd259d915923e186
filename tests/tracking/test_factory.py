"""A run's trackers: which it has, and that curves never go back where it is resumed."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.event_files import made_earlier, points
from tests.support.tiny_runs import latest, lines, tiny
from tfdqn.training.train import train


class Killed(BaseException):
    """Ends a run at once, with nothing saved."""


def test_a_killed_runs_curves_never_go_back_and_its_best_stands(tmp_path: Path) -> None:
    """It is killed long after its only checkpoint, with evaluations and points of curves in between."""
    keys = ("replay.backend=in_graph", "learner.schedule=alternate", "evaluation.interval_env_steps=100")
    keys = (*keys, "logging.tensorboard=true", "logging.interval_seconds=0.01")
    run, metrics = tmp_path / "run", tmp_path / "run" / "metrics.jsonl"
    config = tiny(*keys, "checkpoint.interval_seconds=1000")
    train(config, run, interrupted=lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 3)
    saved = latest(run).counters.env_steps
    stand = lines(run / "evaluations.jsonl")

    def kill() -> bool:
        if (
            lines(run / "evaluations.jsonl")[-1:]
            and lines(run / "evaluations.jsonl")[-1]["env_steps"] > saved + 200
        ):
            raise Killed
        return False

    with pytest.raises(Killed):
        train(config, run, interrupted=kill)
    made_earlier(run / "logs")
    lost = lines(run / "evaluations.jsonl")[len(stand) :]
    assert lost
    best = json.loads((run / "best" / "evaluation.json").read_text())["scores"]["mean_return"]
    said: list[str] = []
    summary = train(config, run, say=said.append)
    assert any(line.startswith("lines from after the checkpoint were put aside: ") for line in said)
    for name in ("metrics", "evaluations"):
        steps = [line["env_steps"] for line in lines(run / f"{name}.jsonl")]
        assert steps == sorted(steps)
    # The last one may come at the same step as one that was due, of weights with more updates.
    evaluated = [(line["env_steps"], line["train_steps"]) for line in lines(run / "evaluations.jsonl")]
    assert len(set(evaluated)) == len(evaluated)
    assert lines(run / "evaluations.superseded.jsonl") == lost
    assert summary.best_return is not None and summary.best_return >= best
    for tag in ("evaluation/return", "learning/loss"):
        steps = points(run / "logs", tag)
        assert (np.diff(steps) >= 0).all(), (tag, steps)
