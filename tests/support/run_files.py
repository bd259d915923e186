"""Runs that were never trained: directories with the files that a finished run leaves."""

from pathlib import Path
from typing import Any

import numpy as np

from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.records import Counters, EpisodeScores, Summary
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.json_lines import append_line
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import write_summary

ENV_STEPS, TRAIN_STEPS = 1_200, 270  # of `tests.support.tiny_runs.tiny`


def scores(mean_return: float, episodes: int = 4) -> EpisodeScores:
    return EpisodeScores(
        episodes=episodes,
        mean_return=mean_return,
        std_return=1.0,
        median_return=mean_return,
        ci_low=mean_return - 1.0,
        ci_high=mean_return + 1.0,
        mean_length=mean_return,
    )


def a_summary(**changes: Any) -> Summary:
    """Of a finished run that took 1,204 environment steps and 250 updates."""
    values: dict[str, Any] = {
        "status": "finished",
        "reason": "the budget of 1,200 environment steps was reached",
        "env_steps": 1_204,
        "train_steps": 250,
        "episodes": 9,
        "seconds": 3.0,
        "best_return": 20.0,
        "final": scores(1.0),
    }
    return Summary(**values | changes)


def finish(path: Path, final_return: float, best_return: float | None = None, env_steps: int = ENV_STEPS) -> None:
    """Leaves the checkpoint and the summary of a run that has taken its environment steps."""
    run = RunDir(path)
    counters = Counters(env_steps=env_steps, train_steps=TRAIN_STEPS, episodes=20, seconds=3.0)
    CheckpointManager(run.checkpoints).save(counters, {"learner": {"a": np.zeros(1)}}, lambda folder: None)
    summary = a_summary(
        reason=f"the budget of {env_steps:,} environment steps was reached",
        env_steps=env_steps,
        train_steps=TRAIN_STEPS,
        episodes=20,
        best_return=final_return if best_return is None else best_return,
        final=scores(final_return),
    )
    write_summary(run.summary_file, summary)


def name_own_kinds(run: Path, *keys: str) -> None:
    """Makes a run's configuration one of kinds and a task from modules that aren't there, with `keys` of the agent."""
    file = run / "config.toml"
    text = file.read_text(encoding="utf-8").replace('kind = "dqn"', "\n".join(['kind = "losses_elsewhere:own"', *keys]))
    text = text.replace('kind = "mlp"', 'kind = "networks_elsewhere:own"')
    text = text.replace('id = "CartPole-v1"', 'id = "tasks_elsewhere:CartPole-v1"')
    file.write_text(text, encoding="utf-8")


def finished_run(path: Path, config: Config, returns: list[float], final_return: float) -> RunDir:
    """A whole finished run: `returns` were evaluated at even distances."""
    run = RunDir(path)
    path.mkdir(parents=True)
    run.config_file.write_text(dump(config), encoding="utf-8")
    for index, each in enumerate(returns):
        steps = config.stop.env_steps * (index + 1) // len(returns)
        is_best = each == max(returns[: index + 1])
        append_line(run.evaluations_file, {"env_steps": steps, "mean_return": each, "is_best": is_best})
        append_line(run.metrics_file, {"env_steps": steps, "seconds": index + 1.0, "episode_return": each / 2})
    finish(path, final_return, max(returns), config.stop.env_steps)
    return run
