"""docs/tracking.md: its commands as they stand there, with short runs, and W&B's package played by another."""

import os
import re
from pathlib import Path

import pytest

from tests.support.commands import PROJECT, ran
from tests.support.fake_wandb import FakeWandB
from tests.support.tiny_runs import lines, tiny
from tfdqn.config import Config, toml
from tfdqn.tracking import factory
from tfdqn.tracking.systems import wanted_systems
from tfdqn.training.call import train

PAGE = (PROJECT / "docs" / "tracking.md").read_text(encoding="utf-8")
SHORT = (
    "stop.env_steps=1200",
    "replay.min_size=128",
    "replay.block_size=1",
    "learner.xla=off",
    "evaluation.final_episodes=2",
    "evaluation.episodes=2",
)


def commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    return [line.split() for block in blocks for line in block.splitlines()]


def test_its_configuration_asks_for_both_systems() -> None:
    [block] = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    assert wanted_systems(toml.parse(block.encode()).tracking) == ["wandb", "mlflow"]


def test_every_command_that_trains_is_one() -> None:
    trained = [toml.load(PROJECT / words[2], [each for each in words[3:] if "=" in each]) for words in commands()[:4]]
    assert [wanted_systems(each.tracking) for each in trained] == [["wandb"], ["wandb"], ["mlflow"], ["mlflow"]]
    assert all(isinstance(each, Config) for each in trained)


def test_its_own_tracker_writes_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory, "TRACKERS", {})
    [block] = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(block, {})
    said: list[str] = []
    train(tiny("replay.backend=in_graph"), tmp_path / "run", say=said.append)
    rows = [line.split(",") for line in (tmp_path / "run" / "evaluations.csv").read_text().splitlines()]
    evaluations = lines(tmp_path / "run" / "evaluations.jsonl")
    assert [(int(row[0]), float(row[1])) for row in rows] == [(e["env_steps"], e["mean_return"]) for e in evaluations]
    assert rows and not [line for line in said if "tracker" in line]


def test_a_run_is_tracked_offline_and_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = FakeWandB(tmp_path, monkeypatch)
    (tmp_path / "configs").symlink_to(PROJECT / "configs")
    _, train, _, _, export = commands()
    for program, *arguments in ([*train, *SHORT], export):
        assert program == "tfdqn"
        done = ran(tmp_path, *arguments, environment={"PYTHONPATH": f"{os.environ['PYTHONPATH']}:{PROJECT}"})
        assert (done.ended(), done.err) == (0, "")
    [begun] = wandb.said("init")
    assert (begun["mode"], begun["name"]) == ("offline", "offline")
    assert len(wandb.said("finish")) == 1
    names = {each.name for each in (tmp_path / "runs" / "hub" / "cartpole").iterdir()}
    assert names == {"README.md", "saved_model", "training.toml", "replay.mp4"}
