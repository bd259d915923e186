"""Whole runs on games: learned from, resumed, evaluated, recorded, exported."""

from pathlib import Path

import numpy as np
import pytest

import tfdqn
from tests.support.tiny_runs import TINY
from tfdqn.config.toml import from_mapping

MINATAR = {"task": {"id": "MinAtar/Breakout-v0", "num_envs": 4}, "network": {"kind": "small_cnn", "dense_units": 8}}
# A few steps of each game, in the smallest pictures that the Nature CNN takes.
ATARI = {
    "task": {
        "id": "ALE/Breakout-v5",
        "num_envs": 4,
        "frame_stack": 4,
        "reward_clip": 1.0,
        "end_on_life_loss": True,
        "max_episode_steps": 100,
        "kwargs": {"img_height": 36, "img_width": 36},
    },
    "network": {"kind": "nature_cnn", "dense_units": 8},
    "agent": {"n_step": 3},
    "replay": {"item": "frames", "capacity": 1_000, "min_size": 100},
}


@pytest.mark.parametrize(
    ("game", "shape"),
    [(MINATAR, (10, 10, 4)), pytest.param(ATARI, (4, 36, 36), marks=pytest.mark.long)],
    ids=["MinAtar", "Atari"],
)
def test_a_game_is_learned_from_resumed_evaluated_recorded_and_exported(
    game: dict, shape: tuple, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    settings = {**TINY, **game}
    tfdqn.train(from_mapping(settings, ["stop.env_steps=400"]), run)
    summary = tfdqn.train(from_mapping(settings, ["stop.env_steps=600"]), run)
    assert summary.env_steps >= 600 and summary.train_steps > 0
    assert summary.final is not None and np.isfinite(summary.final.mean_return)
    report = tfdqn.evaluate(run, episodes=2, video="gif")
    assert report.episodes == 2 and report.video is not None and Path(report.video).stat().st_size > 500
    policy = tfdqn.load_policy(tfdqn.export(run))
    assert 0 <= policy(np.zeros(shape, np.uint8)) < 6
