"""The page on tasks has the keys, defaults and files that there are."""

import configparser
import re
from pathlib import Path

import pytest

from tfdqn.config import toml
from tfdqn.tasks.registry import resolve_spec
from tfdqn.tasks.suites.atari import Settings
from tfdqn.tasks.suites.packages import PACKAGES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/tasks.md").read_text()
CONSTRAINTS = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
GAMES = sorted([*(ROOT / "configs/atari").glob("*.toml"), *(ROOT / "configs/minatar").glob("*.toml")])


def test_every_setting_of_a_game_is_on_the_page() -> None:
    for name in Settings.__struct_fields__:
        assert re.search(rf"`(task\.kwargs\.)?{name}\b", PAGE), name
    rows = dict(re.findall(r"\| ([\d.]+) \| `task\.kwargs\.(\w+)`", PAGE))
    assert {name: float(value) for value, name in rows.items()} == {
        "frameskip": Settings().frameskip,
        "repeat_action_probability": Settings().repeat_action_probability,
    }


def test_the_extras_are_those_of_the_packages() -> None:
    extras = configparser.ConfigParser()
    extras.read(ROOT / "setup.cfg")
    there = dict(extras["options.extras_require"])
    for extra in {package.extra for package in PACKAGES if package.extra} | {"envpool", "mujoco"}:
        assert re.search(rf"^\| .* \| .*`{extra}`", PAGE, re.M) and extra in there, extra
        assert extra in there["tasks"]
        for requirement in there[extra].split("\n"):
            name, _, version = requirement.partition(" == ")
            assert not requirement or requirement.startswith("#") or f"\n{name}=={version}\n".lower() in CONSTRAINTS


def test_the_files_on_the_page_are_there() -> None:
    named = re.findall(r"`((?:configs|tests)/[\w./-]+)`", PAGE)
    assert len(named) >= 4 and all((ROOT / name).exists() for name in named)


@pytest.mark.parametrize("file", GAMES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_games_configuration_is_one_of_a_task_that_there_is(file: Path) -> None:
    config = toml.load(file)
    spec = resolve_spec(config.task)
    assert spec.num_actions[0] >= 3
    assert config.evaluation.max_episode_steps >= (spec.max_episode_steps or 0)
