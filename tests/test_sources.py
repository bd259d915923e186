"""What every source file keeps to: text is UTF-8, no age is read off a wall clock, returns are all written alike."""

import ast
import functools
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
FILES = sorted(file for folder in ("tfdqn", "benchmarks", "examples") for file in (PROJECT / folder).rglob("*.py"))
# The wall clock dates what others read. An age by it may be below 0, which these say where they show one.
DATED = {
    "tfdqn/coordination/heartbeat_files.py",
    "tfdqn/launch/run_report.py",  # how long ago training reported
    "tfdqn/launch/supervised_process.py",
    "tfdqn/storage/checkpoints.py",
    "tfdqn/tracking/factory.py",
    "tfdqn/tracking/mlflow.py",
    "tfdqn/tracking/tensorboard.py",
}
WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
STARTS = {"run", "Popen", "check_output", "check_call"}
# Have no text, or an encoding of their own.
OTHER_OPENS = {"os.open", "archive.open", "folder.open", "webbrowser.open", "self.open", "_gate.open"}


@functools.cache
def calls(source: str) -> list[tuple[str, ast.Call]]:
    """Each call with the last two names of what is called, as in "subprocess.run"."""
    return [
        (".".join(ast.unparse(node.func).split(".")[-2:]), node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
    ]


def is_text_without_encoding(name: str, call: ast.Call) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    last = name.split(".")[-1]
    values = [each.value for each in [*call.args, *given.values()] if isinstance(each, ast.Constant)]
    is_binary = any(isinstance(value, str) and "b" in value and len(value) <= 3 for value in values)
    if last in STARTS:
        is_text = "text" in given or "universal_newlines" in given
    elif last in ("read_text", "write_text"):
        is_text = True
    else:
        is_text = last in ("open", "fdopen") and name not in OTHER_OPENS and not is_binary
    return is_text and "encoding" not in given


def without_encoding(source: str) -> list[int]:
    return [call.lineno for name, call in calls(source) if is_text_without_encoding(name, call)]


def test_every_text_has_its_encoding() -> None:
    found = {str(file): lines for file in FILES if (lines := without_encoding(file.read_text(encoding="utf-8")))}
    assert found == {}


def test_only_what_is_dated_reads_the_wall_clock() -> None:
    readers = {
        str(file.relative_to(PROJECT))
        for file in FILES
        if any(name in WALL_CLOCKS for name, _ in calls(file.read_text(encoding="utf-8")))
    }
    assert readers == DATED


@pytest.mark.parametrize(
    "line",
    [
        "open(f)",
        "f.open('a')",
        "f.read_text(errors='replace')",
        "f.write_text('x')",
        "subprocess.run(['a'], text=True)",
        "os.fdopen(3, 'w')",
    ],
)
def test_the_check_finds_what_it_looks_for(line: str) -> None:
    assert without_encoding(line) == [1]
    assert without_encoding(line[:-1] + ", encoding='utf-8')") == []


@pytest.mark.parametrize("line", ["open(f, 'rb')", "f.open('ab')", "os.open(f, 0)", "subprocess.run(['a'])"])
def test_the_check_lets_bytes_pass(line: str) -> None:
    assert without_encoding(line) == []


RETURN = re.compile(r"((mean|std|median|best|final|last|episode)_return|score|ci_low|ci_high)$")


def formats_of_returns(source: str) -> list[str]:
    """How each return or score is written in a text."""
    return [
        "" if node.format_spec is None else ast.unparse(node.format_spec)[2:-1]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FormattedValue)
        and isinstance(node.value, ast.Attribute | ast.Name)
        and RETURN.search(ast.unparse(node.value))
    ]


def test_returns_are_written_with_two_decimals_with_one_while_they_change_and_whole_where_one_is_too_low() -> None:
    formats = {str(file): set(formats_of_returns(file.read_text(encoding="utf-8"))) for file in FILES}
    others = {"terminal.py": ",.1f", "runs_view.py": ",.1f", "best_policy.py": ",", "group_table.py": "{form}"}
    for file, found in formats.items():
        assert found <= {",.2f", others.get(Path(file).name, "")}, file
    assert sum(map(bool, formats.values())) > 10
    assert formats_of_returns('f"{a.mean_return:g} {score} {scores}"') == ["g", ""]


def test_no_test_makes_an_object_without_its_constructor() -> None:
    found = [
        file.name
        for file in sorted((PROJECT / "tests").rglob("*.py"))
        if "object.__new__" in [name for name, _ in calls(file.read_text(encoding="utf-8"))]
    ]
    assert found == []


def test_the_root_holds_what_belongs_there() -> None:
    """A file that a command left there would be committed with the next change."""
    names = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, encoding="utf-8", check=False).stdout
    found = {name.split("/")[0] for name in names.splitlines()}  # empty where there is no git
    folders = {".ci", "benchmarks", "configs", "docs", "examples", "launchers", "tests", "tfdqn"}
    files = {".dockerignore", ".gitignore", "CHANGELOG.md", "Dockerfile", "LICENSE", "Makefile", "README.md"}
    assert found <= folders | files | {"constraints.txt", "pyproject.toml", "setup.cfg"}
