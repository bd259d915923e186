"""docs/your_task.md: its environment, its configuration and its commands, as they stand there, in an empty folder."""

import contextlib
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.commands import PROJECT, ran
from tfdqn import load_policy

PAGE = (PROJECT / "docs" / "your_task.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("your_task")
    names = ["my_envs.py", "chargers.py", "room.toml", "chargers.toml"]
    for name, text in zip(names, [*blocks("python")[:2], *blocks("toml")], strict=True):
        (folder / name).write_text(text)
    return folder


CAMERA = """
import gymnasium
import numpy as np
from gymnasium import spaces


class Camera(gymnasium.Env):
    observation_space, action_space = spaces.Box(0, 255, (3, 84, 84), np.uint8), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.integers(0, 256, (3, 84, 84), np.uint8), {}

    def step(self, action):
        return self.reset()[0], 1.0, bool(self.np_random.random() < 0.2), False, {}


gymnasium.register("Camera-v0", Camera)
"""


def run(folder: Path, line: str) -> str:
    """What a line of the page's commands prints; it must succeed, and say nothing on stderr."""
    program, *arguments = line.split()
    assert program == "tfdqn"
    done = ran(folder, *arguments, environment={"HOME": str(folder)})
    assert (done.ended(), done.err) == (0, "")
    return done.out


def test_an_environment_is_less_than_thirty_lines_of_code() -> None:
    module, *_ = blocks("python")
    assert len([line for line in module.splitlines() if line.strip()]) < 30


def test_it_is_checked(folder: Path) -> None:
    check, *_ = blocks("sh")
    assert "Training can run." in run(folder, check.strip())
    found = json.loads(run(folder, f"{check.strip()} --json"))
    verdicts = {each["about"]: each["verdict"] for each in found["findings"]}
    assert verdicts.pop("state") == "note" and set(verdicts.values()) == {"yes"}
    assert -36 < np.mean(found["episode_returns"]) < -24  # "about -30"


def test_the_pages_wrapper_gives_images_as_networks_take_them(folder: Path) -> None:
    (wrapper,) = blocks("py")
    wrapped = CAMERA.split("\n\n")[0] + "\n\n" + textwrap.dedent(wrapper).replace('r("Camera', 'r("Last')
    for name, text in {"their_package": CAMERA, "wrapped": wrapped}.items():
        (folder / f"{name}.py").write_text(text)
    suggested = {}
    for task in "their_package:Camera-v0", "wrapped:Last-v0":
        found = json.loads(run(folder, f"tfdqn tasks --check {task} --json task.num_envs=1"))
        notes = [each["found"] for each in found["findings"] if each["about"] == "image"]
        suggested[task] = (notes, list(found["suggestions"]))
    ((note,), keys) = suggested["their_package:Camera-v0"]
    assert keys == [] and "Box(0, 255, (84, 84, 3), np.uint8))" in note
    assert suggested["wrapped:Last-v0"] == ([], ["network.kind=nature_cnn", "task.frame_stack=4", "replay.item=frames"])


def test_its_commands_train_evaluate_and_export_it(folder: Path) -> None:
    _, commands, *_ = blocks("sh")
    for line in commands.splitlines():
        run(folder, line)
    summary = json.loads((folder / "runs" / "room-seed1" / "summary.json").read_text())
    assert summary["final"]["mean_return"] > -8
    policy = load_policy(folder / "runs" / "room-seed1" / "exports" / "1")
    cold, warm = (policy(np.float32([inside, -1.6])) for inside in (-0.8, 0.8))
    assert (int(cold), int(warm)) == (2, 0)  # at 13 degrees it heats in full, at 29 not at all


def test_named_observations_several_actions_and_masks_are_trained_on_and_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = blocks("sh")[2]
    for line in commands.splitlines():
        run(folder, line)
    run_dir = folder / "runs" / "chargers-seed1"
    assert json.loads((run_dir / "summary.json").read_text())["final"]["mean_return"] > -2.4  # at random -2.8
    asked: dict[str, Any] = {}
    with contextlib.chdir(folder), monkeypatch.context() as patch:
        patch.syspath_prepend(folder)
        exec(blocks("python")[2], asked)
    assert asked["info"]["action_mask"][tuple(asked["power"])]
    policy = load_policy(run_dir)
    observation = {"charge": np.float32([0.2, 0.2]), "hour": np.int64(3), "free": np.int64(1)}
    possible = np.add.outer(np.arange(3), np.arange(3)) <= 1
    assert sum(policy(observation, legal_actions=possible)) <= 1
    assert [*policy(observation | {"free": np.int64(4)}, legal_actions=np.ones((3, 3), bool))] == [2, 2]  # it is cheap
