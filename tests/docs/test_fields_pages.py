"""The pages of docs/fields/: their commands are ones that there are, and so are the files that they name."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from tfdqn import load_config
from tfdqn.errors import ConfigError

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "fields").glob("*.md"))
CONFIGS = sorted((ROOT / "configs" / "fields").glob("*.toml"))


def commands(page: Path) -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [re.sub(r"^MUJOCO_GL=egl ", "", line) for block in blocks for line in block.splitlines() if line]
    return [shlex.split(line, comments=True) for line in lines]


def check(command: list[str]) -> None:
    """A configuration is read with the command's keys, an example's parser takes the command's arguments."""
    match command:
        case ["tfdqn", "train" | "launch", config, *rest]:
            load_config(str(ROOT / config), [each for each in rest if "=" in each])
        case ["tfdqn", "plot" | "evaluate", *_]:
            pass
        case ["python", "-m", module, *arguments]:
            importlib.import_module(module).parser().parse_args(arguments)
        case [pip, "install", *_] if pip.endswith("/pip"):
            pass
        case _:
            raise AssertionError(f"what is {shlex.join(command)}?")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_is_one(page: Path) -> None:
    found = commands(page)
    assert len(found) >= 2
    for command in found:
        check(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [page.parent / link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    named = [ROOT / name for name in re.findall(r"`((?:configs|examples|tests|tfdqn)/[\w/-]+\.\w+)`", text)]
    assert [str(path) for path in [*links, *named] if not path.exists()] == []
    assert named


def test_every_configuration_of_a_field_has_a_page_that_trains_with_it() -> None:
    trained = {command[2] for page in PAGES for command in commands(page) if command[:2] == ["tfdqn", "train"]}
    assert {str(file.relative_to(ROOT)) for file in CONFIGS} <= trained


@pytest.mark.parametrize(
    "command, error",
    [
        ("tfdqn train configs/cartpole.toml seed=x", ConfigError),
        ("python -m examples.fields.battery", SystemExit),
        ("tfdqn trian configs/cartpole.toml", AssertionError),
    ],
)
def test_the_check_finds_what_it_looks_for(command: str, error: type[BaseException]) -> None:
    with pytest.raises(error):
        check(command.split())
