"""Every configuration that comes with the project is valid, and an algorithm's numbers stand with their sources."""

import re
from pathlib import Path

import pytest

from tfdqn import load_config
from tfdqn.config.doubts import doubts

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(set(CONFIGS.rglob("*.toml")) - set(CONFIGS.glob("spaces/*.toml")))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CONFIGS)))
def test_a_configuration_is_valid(file: Path) -> None:
    assert load_config(str(file)).stop.env_steps > 0 and not list(doubts(load_config(str(file))))


def test_no_two_have_the_same_name() -> None:
    """By default a run's directory and a job's manifests are named after the file, without its folder."""
    assert sorted(file.stem for file in FILES) == sorted({file.stem for file in FILES})


ALGORITHMS = [file for file in FILES if file.parent.name == "algorithms" and file.stem != "r2d2-tmaze"]
SECTIONS = {"network", "agent", "optimizer", "exploration", "priorities"}


@pytest.mark.parametrize("file", ALGORITHMS, ids=lambda file: file.stem)
def test_every_number_of_an_algorithm_has_a_comment_beside_it(file: Path) -> None:
    section, bare = "", []
    for line in file.read_text(encoding="utf-8").splitlines():
        section = line.strip("[]") if line.startswith("[") else section
        if section in SECTIONS and re.match(r"\w+ = (\[?[-\d]|true)", line) and " # " not in line:
            bare.append(line)
    assert bare == []
