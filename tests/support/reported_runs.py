"""Run directories as finished runs leave them, without training."""

import json
from collections.abc import Sequence
from pathlib import Path

from tfdqn.config import toml
from tfdqn.records import EpisodeScores, Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import write_summary


def reported_run(
    path: Path,
    score: float = 20.0,
    returns: Sequence[float | None] = (10.0, 20.0),
    overrides: Sequence[str] = (),
    seed: int = 1,
    seconds: float = 10.0,
) -> Path:
    """A run of 100 environment steps and an evaluation for each of `returns`, whose final evaluation gave `score`."""
    path.mkdir(parents=True)
    run = RunDir(path)
    config = toml.from_mapping({"task": {"id": "CartPole-v1"}}, [f"seed={seed}", *overrides])
    run.config_file.write_text(toml.dump(config))
    rows = [
        {
            "env_steps": 100 * number,
            "train_steps": 10 * number,
            "seconds": seconds * number / len(returns),
            "mean_return": value,
            "std_return": 1.5,
            "mean_length": 30.0,
            "episodes": 4,
            "is_best": False,
        }
        for number, value in enumerate(returns, 1)
    ]
    run.evaluations_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scores = {"mean_return": score, "std_return": 2.0, "median_return": score, "ci_low": score, "ci_high": score}
    summary = Summary(
        status="finished",
        reason="the budget was reached",
        env_steps=100 * len(returns),
        train_steps=10 * len(returns),
        episodes=7,
        seconds=seconds,
        best_return=None,
        final=EpisodeScores(episodes=50, mean_length=40.0, **scores),
    )
    write_summary(run.summary_file, summary)
    return path


def seeds(folder: Path, scores: Sequence[float], overrides: Sequence[str] = ()) -> Path:
    """A folder with a run for each score, of seeds from 1."""
    for seed, score in enumerate(scores, 1):
        reported_run(folder / f"seed-{seed}", score, (score / 2, score), overrides, seed)
    return folder


def tuned(folder: Path) -> Path:
    """A study's folder: two trials, of which the second was the best with a score of 90, and its fresh seeds.

    These, of the second's configuration, scored 20 and 30.
    """
    reported_run(folder / "trials" / "000", 10.0, overrides=["agent.n_step=2"])
    reported_run(folder / "trials" / "001", 90.0, overrides=["agent.n_step=3"])
    seeds(folder / "best" / "trial-001", [20.0, 30.0], ["agent.n_step=3"])
    (folder / "study.json").write_text("{}")
    return folder
