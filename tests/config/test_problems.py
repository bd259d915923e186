"""Several mistakes in a configuration: each has its line, in one error."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfdqn.config.problems import Problems
from tfdqn.config.toml import from_mapping
from tfdqn.errors import ConfigError, ConfigErrors

FILE = {
    "gamma": 0.9,
    "agent": {"kind": "dqn", "atoms": 51, "discount": 2.0, "n_stp": 3},
    "optimizer": {"kind": "adma", "momentum": 0.9},
    "seed": -1,
}
BEGINNINGS = [
    'override "abc": must be key=value',
    'a.toml: gamma is not a key (did you mean "agent.discount"?)',
    'a.toml: agent.atoms = 51 is a key of agent.kind = "c51"',
    "a.toml: agent.discount = 2.0: must be a number from 0 to 1",
    'a.toml: agent.n_stp is not a key (did you mean "agent.n_step"?)',
    'a.toml: optimizer.kind = "adma": must be one of',
    "a.toml: seed = -1: must be a whole number",
    "override: stop.env_steps = 0: must be a whole number at least 1",
    "override: task.id = 3: must be text in quotes",
]
OVERRIDES = ["stop.env_steps=0", "abc", "task.id=3"]


def lines_of(values: dict[str, Any], overrides: list[str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        from_mapping(values, overrides, "a.toml")
    return str(caught.value).splitlines()


def test_all_wrong_keys_are_named_in_the_order_of_the_file() -> None:
    lines = lines_of(FILE, OVERRIDES)
    assert [line[: len(begins)] for line, begins in zip(lines, BEGINNINGS, strict=True)] == BEGINNINGS


def test_a_line_is_the_same_as_that_of_its_mistake_alone() -> None:
    lines = lines_of(FILE, OVERRIDES)
    assert lines_of({"gamma": 0.9}, []) == lines[1:2]
    assert lines_of({"agent": {"discount": 2.0}}, []) == lines[3:4]
    assert lines_of({}, ["task.id=3"]) == lines[8:]


def test_what_follows_from_a_wrong_key_is_not_named() -> None:
    contradiction = {"exploration": {"start": 0.1, "end": 0.9}, "priorities": {"exponent": 0.6}}
    assert len(lines_of({**contradiction, "learner": {"workers": 9}, "gamma": 0.9}, [])) == 1


def test_a_wrong_kind_hides_no_key_that_is_wrong_in_every_kind() -> None:
    """`target` belongs to one kind, `n_step` to several; a kind of the user's own may have any keys."""
    keys = {"gama": 0.9, "n_step": 0, "target": 3, "atoms": 51, "discount": 0.9}
    lines = lines_of({"agent": {"kind": "ddqnn", **keys}, "optimizer": {"kind": 3, "learning_rate": "fast"}}, [])
    begins = [line.removeprefix("a.toml: ").split(":")[0].split(";")[0] for line in lines]
    assert begins == [
        'agent.kind = "ddqnn"',
        'agent.gama is not a key of any agent.kind (did you mean "agent.discount"?)',
        "agent.n_step = 0",
        "agent.target = 3",
        "optimizer.kind = 3",
        'optimizer.learning_rate = "fast"',
    ]
    assert len(lines_of({"agent": {"kind": "json:missing", **keys}}, [])) == 1


def test_with_a_wrong_kind_a_value_is_judged_by_the_kind_that_may_have_been_meant() -> None:
    """The first kind that has a `target` allows less than this one."""
    _, line = lines_of({"agent": {"kind": "qrdqn", "target": "doubl"}}, [])
    assert line == (
        'a.toml: agent.target = "doubl": must be one of "max", "double", "munchausen" (did you mean "double"?)'
    )


def test_a_key_of_no_kind_is_named_without_the_keys_of_all_kinds() -> None:
    _, line, other = lines_of({"agent": {"kind": "ddqnn", "xyz": 1, "device": "cpu"}}, [])
    assert line == "a.toml: agent.xyz is not a key of any agent.kind"
    assert other.startswith("a.toml: agent.device is not a key: learning uses all GPUs")


def test_all_keys_without_effect_are_named() -> None:
    lines = lines_of({"agent": {"loss": "squared", "huber_delta": 2.0}, "learner": {"workers": 9}}, [])
    assert [line.partition(" needs")[0] for line in lines] == [
        "a.toml: agent.huber_delta = 2",
        "a.toml: learner.workers = 9",
    ]


def test_only_the_first_twenty_are_shown() -> None:
    lines = lines_of({f"key_{index}": 1 for index in range(23)}, [])
    assert lines[19].startswith("a.toml: key_19 is not a key")
    assert lines[20:] == ["and 3 more"]


NEEDY = """
from typing import Annotated

from tfdqn.config.agent import Agent
from tfdqn.config.fields import doc


class Needy(Agent, frozen=True, kw_only=True, tag="needy:agent"):
    needed: Annotated[int, doc("has no default")]
"""


def test_a_wrong_value_of_a_key_without_a_default_is_named(tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text(NEEDY)
    (tmp_path / "a.toml").write_text('gamma = 1\n[agent]\nkind = "needy:agent"\nneeded = "x"\n')
    # In a process of its own: whatever is defined there is no kind of agent for other tests.
    done = subprocess.run(
        [sys.executable, "-m", "tfdqn", "config", "a.toml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert [line.split(" ")[2] for line in done.stderr.splitlines()] == ["gamma", "agent.needed"]


def test_one_is_a_plain_error_and_several_have_a_line_each() -> None:
    problems = Problems()
    problems.require_none()
    assert problems.are_none
    with problems.kept():
        raise ConfigError("a")
    with pytest.raises(ConfigError, match=r"^a$") as caught:
        problems.require_none()
    assert not isinstance(caught.value, ConfigErrors)
    with problems.kept():
        raise ConfigErrors(["b", "c"])
    with pytest.raises(ConfigErrors) as many:
        problems.require_none()
    assert many.value.lines == ("a", "b", "c")
    with pytest.raises(ZeroDivisionError), problems.kept():
        raise ZeroDivisionError


def test_what_was_cut_when_it_was_shown_is_still_collected() -> None:
    wrong = [f"line {index}" for index in range(23)]
    problems = Problems(["before"])
    with problems.kept():
        Problems(wrong).require_none()
    with pytest.raises(ConfigErrors) as caught:
        problems.require_none()
    assert caught.value.lines == ("before", *wrong)
    assert str(caught.value).splitlines() == ["before", *wrong[:19], "and 4 more"]
