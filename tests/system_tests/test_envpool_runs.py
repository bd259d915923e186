"""A run on EnvPool's environments, to its end: trained, recorded, evaluated by EnvPool and by gymnasium, exported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tfdqn import load_policy

pytestmark = pytest.mark.tasks

SMALL = (
    *("task.id=CartPole-v1", "task.suite=envpool", "replay.min_size=200"),
    *("learner.batch_size=32", "learner.updates_per_call=10", "stop.env_steps=2000", "logging.tensorboard=false"),
    *("evaluation.interval_env_steps=1000", "evaluation.episodes=5", "evaluation.final_episodes=5"),
)


def tfdqn(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tfdqn", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, cwd=PROJECT)


def test_it_is_trained_and_evaluated_on_either_package_and_exported(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = tfdqn(
        "train", "configs/cartpole.toml", *SMALL, "task.num_envs=8", "replay.backend=in_graph", "--run-dir", str(run)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 'suite = "envpool"' in (run / "config.toml").read_text()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["env_steps"] >= 2000 and summary["episodes"] > 20
    for suite in ("envpool", "gymnasium"):
        done = tfdqn("evaluate", str(run), "--episodes", "20", "--video", "--json", "--set", f"task.suite={suite}")
        assert (done.returncode, done.stderr) == (0, ""), suite
        report = json.loads(done.stdout)
        assert report["mean_return"] == report["mean_length"] and Path(report["video"]).stat().st_size > 1_000
    policy = load_policy(run / "exports" / "1")
    assert int(policy([0.0, 0.0, 0.1, 0.0])) in (0, 1)


def test_actors_of_a_job_gather_from_it_in_processes_of_their_own(tmp_path: Path) -> None:
    run = tmp_path / "run"
    job = ("replay.backend=reverb", "task.num_envs=4", "--actors", "2", "--no-evaluator", "--run-dir", str(run))
    done = tfdqn("launch", "configs/cartpole.toml", *SMALL, *job)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "summary.json").read_text())["env_steps"] >= 2000
