"""docs/your_task.md: its environment, its configuration and its commands, as they stand there, in an empty folder."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import PROJECT
from tfdqn import load_policy

PAGE = (PROJECT / "docs" / "your_task.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("your_task")
    (module,), (config,) = blocks("python"), blocks("toml")
    (folder / "my_envs.py").write_text(module)
    (folder / "room.toml").write_text(config)
    return folder


def run(folder: Path, line: str) -> str:
    """What a line of the page's commands prints; it must succeed, and say nothing on stderr."""
    program, *arguments = line.split()
    assert program == "tfdqn"
    environment = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "tfdqn", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        timeout=400,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_an_environment_is_less_than_thirty_lines_of_code() -> None:
    (module,) = blocks("python")
    assert len([line for line in module.splitlines() if line.strip()]) < 30


def test_it_is_checked(folder: Path) -> None:
    check, *_ = blocks("sh")
    assert "Training can run." in run(folder, check.strip())
    found = json.loads(run(folder, f"{check.strip()} --json"))
    verdicts = {each["about"]: each["verdict"] for each in found["findings"]}
    assert verdicts.pop("state") == "note" and set(verdicts.values()) == {"yes"}
    assert -36 < np.mean(found["episode_returns"]) < -24  # "about -30"


def test_its_commands_train_evaluate_and_export_it(folder: Path) -> None:
    _, commands, _ = blocks("sh")
    for line in commands.splitlines():
        run(folder, line)
    summary = json.loads((folder / "runs" / "room-seed1" / "summary.json").read_text())
    assert summary["final"]["mean_return"] > -8
    policy = load_policy(folder / "runs" / "room-seed1" / "exports" / "1")
    cold, warm = (policy(np.float32([inside, -1.6])) for inside in (-0.8, 0.8))
    assert (int(cold), int(warm)) == (2, 0)  # at 13 degrees it heats in full, at 29 not at all
