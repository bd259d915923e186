"""Every wait outside the tests has a limit, or a comment beside it that says why it needs none."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
FILES = sorted(file for folder in ("tfdqn", "benchmarks", "examples") for file in (PROJECT / folder).rglob("*.py"))
# By name, and how many arguments stand before a limit: those of threads, events, queues, processes and futures.
LIMIT_AFTER = {
    "wait": 0,
    "join": 0,
    "result": 0,
    "communicate": 1,
    "get": 0,
    "wait_for": 1,
    "sigwait": 1,
    "sigwaitinfo": 1,
    "select": 3,
    "flock": 2,
}
LIMITS = {"timeout", "timeout_seconds", "timeout_ms"}
BOARDS = {"_board", "board", "_source", "_weights"}  # that `get` weights, and wait for nobody
MARKS = ("no timeout: ", "no limit: ")  # then the reason


def has_limit(call: ast.Call, name: str) -> bool:
    assert isinstance(call.func, ast.Attribute)
    is_of_a_board = isinstance(call.func.value, ast.Attribute) and call.func.value.attr in BOARDS
    if name == "get" and is_of_a_board:
        return True
    if name == "flock":
        return "LOCK_NB" in ast.unparse(call)
    return len(call.args) > LIMIT_AFTER[name] or any(each.arg in LIMITS for each in call.keywords)


def unlimited_waits(source: str) -> list[int]:
    """The lines with a wait that may last for ever, and no comment there or on the line above that says why."""
    lines = source.splitlines()
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in LIMIT_AFTER and not has_limit(node, node.func.attr):
            near = lines[max(node.lineno - 2, 0) : node.end_lineno]
            if not any(mark in line.partition("#")[2] for line in near for mark in MARKS):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PROJECT)))
def test_every_wait_has_a_limit_or_a_reason(file: Path) -> None:
    assert unlimited_waits(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("thread.join()", [1]),
        ("thread.join(5.0)", []),
        ("', '.join(words)", []),
        ("event.wait(timeout=5.0)", []),
        ("a = 1\nchanged.wait_for(lambda: a)", [2]),
        ("changed.wait_for(lambda: a, 5.0)", []),
        ("# no limit: the thread that closed it opens it\nevent.wait()", []),
        ("event.wait()  # no limit: the thread ends the process", []),
        ("event.wait()  # needs no timeout: the thread ends the process", []),
        ("event.wait()  # for ever", [1]),
        ("queue.get()", [1]),
        ("known.get(name)", []),
        ("self._board.get()", []),
        ("fcntl.flock(file, fcntl.LOCK_EX)", [1]),
        ("fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)", []),
    ],
)
def test_it_finds_what_may_wait_for_ever(source: str, lines: list[int]) -> None:
    assert unlimited_waits(source) == lines
