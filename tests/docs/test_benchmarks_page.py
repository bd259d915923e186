"""benchmarks/README.md, and every other place that names a benchmark's command: they have these names and options."""

import ast
import re

import pytest

from tests.support.commands import PROJECT

FOLDER = PROJECT / "benchmarks"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
SOURCES = {file.stem: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.py")}
COMMANDS = {name for name, source in SOURCES.items() if "argument_parser(__doc__)" in source}
PAGES = [FOLDER / "README.md", PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
TEXTS = {str(page.relative_to(PROJECT)): page.read_text(encoding="utf-8") for page in PAGES} | {
    f"benchmarks/{name}.py": ast.get_docstring(ast.parse(source)) or "" for name, source in SOURCES.items()
}
# A command ends with its code, with its paragraph, or with a comment.
COMMAND = re.compile(r"python -m benchmarks\.(\w+)((?:[^`#\n]|\n(?!\n))*)")


def test_the_table_has_every_benchmark_once() -> None:
    assert sorted(re.findall(r"^\| `python -m benchmarks\.(\w+)", PAGE, flags=re.MULTILINE)) == sorted(COMMANDS)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_option_that_is_named_is_there(text: str) -> None:
    for name, arguments in COMMAND.findall(text):
        for option in re.findall(r"--[a-z-]+", arguments):
            assert f'"{option}"' in SOURCES[name], f"{name} has no {option}"


def test_commands_are_found_with_their_options() -> None:
    found = [command for text in TEXTS.values() for command in COMMAND.findall(text)]
    assert {name for name, _ in found} >= COMMANDS
    assert sum(arguments.count("--") for _, arguments in found) > 30
