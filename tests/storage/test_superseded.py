"""Curves of a run that is taken up again at its checkpoint: they never go back, and no line is lost."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tests.support.tiny_runs import latest, lines, tiny
from tfdqn.acting.episode_statistics import TensorBoard, purge_curves
from tfdqn.storage.superseded import put_aside
from tfdqn.training.train import train


def test_lines_after_the_checkpoint_go_to_a_file_beside(tmp_path: Path) -> None:
    metrics, none = tmp_path / "metrics.jsonl", tmp_path / "evaluations.jsonl"
    written = [{"env_steps": step, "loss": step / 7} for step in (100, 200, 300, 400)]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in written) + '{"env_st')
    said = put_aside({metrics: 200, none: 200})
    assert said == (
        "lines from after the checkpoint were put aside: 2 of metrics.jsonl to metrics.superseded.jsonl"
    )
    assert metrics.read_text().splitlines() == [*map(json.dumps, written[:2]), '{"env_st']
    assert lines(tmp_path / "metrics.superseded.jsonl") == written[2:]
    assert put_aside({metrics: 200, none: 200}) == ""
    put_aside({metrics: -1, none: -1})  # it begins anew
    assert lines(tmp_path / "metrics.superseded.jsonl") == [*written[2:], *written[:2]]
    assert not none.exists()


def test_each_line_that_is_put_aside_is_one_wherever_a_kill_came(tmp_path: Path) -> None:
    metrics, aside = tmp_path / "metrics.jsonl", tmp_path / "metrics.superseded.jsonl"
    aside.write_text('{"env_st')  # while it was moved
    for step in (2, 3):
        metrics.write_text(
            f'{{"env_steps": 1}}\n{{"env_steps": {step}}}'
        )  # before the line's end was written
        put_aside({metrics: 1})
    assert aside.read_text() == '{"env_st\n{"env_steps": 2}\n{"env_steps": 3}\n'


def made_earlier(directory: Path) -> None:
    """Files are read in the order of their names, which begin with the second in which they were made."""
    for file in directory.glob("events.out.tfevents.*"):
        head, second, rest = re.fullmatch(r"(events\.out\.tfevents\.)(\d+)(\..*)", file.name).groups()  # type: ignore[union-attr]
        file.rename(directory / f"{head}{int(second) - 10}{rest}")


def points(directory: Path, tag: str) -> list[int]:
    return [event.step for event in EventAccumulator(str(directory)).Reload().Tensors(tag)]


def test_tensorboard_forgets_what_is_written_again(tmp_path: Path) -> None:
    purge_curves(tmp_path, 200)
    assert list(tmp_path.iterdir()) == []
    first = TensorBoard(tmp_path)
    for step in (100, 200, 300, 400):
        first.scalars({"loss": step / 7}, step)
    first.close()
    made_earlier(tmp_path)
    purge_curves(tmp_path, 200)
    second = TensorBoard(tmp_path)
    for step in (250, 350):
        second.scalars({"loss": step / 7}, step)
    second.close()
    assert points(tmp_path, "loss") == [100, 200, 250, 350]


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
