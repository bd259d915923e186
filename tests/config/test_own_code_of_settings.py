"""A class of settings whose tag or key is not what its author meant: one line says what to write."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfdqn.config import MLP, Agent, Task
from tfdqn.config.wording import did_you_mean
from tfdqn.errors import OwnCodeError

MODULE = """
from typing import Annotated, ClassVar

from tfdqn.config import Agent
from tfdqn.config.fields import doc


class Forgetful(Agent, frozen=True, kw_only=True, tag_field="kind", tag="forgetful"):
    pass


class Misnamed(Agent, frozen=True, kw_only=True, tag_field="kind", tag="another:misnamed"):
    pass


class Plain(Agent, frozen=True, kw_only=True, tag_field="kind", tag="own:plain"):
    quantiles = 0.6  # also a key of "qr_dqn"
    weight = 2
    note: ClassVar[str] = "no key"
    takes_branches = True

    def method(self): ...


class Bare(Agent, frozen=True, kw_only=True, tag_field="kind", tag="own:bare"):
    bins: int = 3


class Needy(Agent, frozen=True, kw_only=True, tag_field="kind", tag="own:needy"):
    bins: Annotated[int, doc("bins", ge=2)]


class Derived(Plain, frozen=True, kw_only=True, tag_field="kind", tag="own:derived"):
    pass
"""
PROGRAM = """
import json, sys
from tfdqn.config.toml import from_mapping
from tfdqn.errors import ConfigError

for agent in json.load(sys.stdin):
    try:
        from_mapping({"agent": agent})
    except ConfigError as error:
        print(error)
    else:
        print("none")
"""
WRONG_TAG = 'configuration: agent.kind = "own:{0}": the class {1} of own has the tag "{2}"; it must be tag="own:{0}"'
NO_ANNOTATION = "configuration: agent.{} is not a key: the class Plain of own sets it without an annotation; write {}"
BARE = "configuration: agent.bins: the class Bare of own doesn't say its meaning; "
USUAL = "configuration: agent.{} is not a key"
BUILT_IN = ': must be one of "dqn", "double_dqn", "munchausen", "pqn", "c51", "qr_dqn", "iqn"'
CASES: list[tuple[dict[str, Any], str]] = [
    ({"kind": "own:forgetful"}, WRONG_TAG.format("forgetful", "Forgetful", "forgetful")),
    ({"kind": "own:misnamed"}, WRONG_TAG.format("misnamed", "Misnamed", "another:misnamed")),
    ({"kind": "tfdqn.config.agent:dqn"}, f'configuration: agent.kind = "tfdqn.config.agent:dqn"{BUILT_IN}, '),
    (
        {"kind": "doqn"},
        f'configuration: agent.kind = "doqn"{BUILT_IN}, or one of your own, "my_module:name" (did you mean "dqn"?)',
    ),
    ({"kind": "own:plain", "quantiles": 0.5}, NO_ANNOTATION.format("quantiles", "quantiles: float = 0.6")),
    ({"kind": "own:plain", "weight": 1}, NO_ANNOTATION.format("weight", "weight: int = 2")),
    ({"kind": "own:derived", "weight": 1}, NO_ANNOTATION.format("weight", "weight: int = 2")),
    ({"kind": "own:bare"}, f"{BARE}write bins: Annotated[its type, doc("),
    ({"kind": "own:bare", "bins": 4}, BARE),
    ({"kind": "own:needy"}, "configuration: agent.bins must be given: Needy of own has no default for it"),
    ({"kind": "own:needy", "bins": 1}, "configuration: agent.bins = 1: must be"),
    ({"kind": "own:needy", "bins": 2}, "none"),
    *(({"kind": "own:plain", key: 1}, USUAL.format(key)) for key in ("note", "takes_branches", "method", "__doc__")),
]


def test_each_mistake_is_one_line_that_says_what_to_write(tmp_path: Path) -> None:
    """In a process of its own, since a class is a kind of every configuration that is read after it."""
    (tmp_path / "own.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        input=json.dumps([agent for agent, _ in CASES]),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    for (agent, said), line in zip(CASES, lines, strict=True):
        assert line.startswith(said), agent
        assert ("annotation" in line) == ("annotation" in said), agent


def test_a_key_without_a_meaning_is_one_line_where_a_configuration_is_written(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(MODULE)
    program = "import own; from tfdqn.config import Config, toml; toml.dump(Config(agent=own.Bare()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    *_, line = done.stderr.splitlines()
    assert line == f'tfdqn.errors.ConfigError: {BARE}write bins: Annotated[its type, doc("what it means")]'


@pytest.mark.parametrize("base", ["Agent", "DQN", "own.Plain"])
def test_a_class_without_a_tag_of_its_own_is_refused_and_is_no_kind(tmp_path: Path, base: str) -> None:
    """It inherits the tag of its base, in whose place it would be read."""
    (tmp_path / "own.py").write_text(MODULE)
    program = f"""
import own
from tfdqn.config import DQN, Agent, Config, toml
from tfdqn.errors import ConfigError
class Untagged({base}, frozen=True, kw_only=True):
    pass
for give in (toml.checked, toml.dump):
    try:
        give(Config(agent=Untagged()))
    except ConfigError as error:
        print(error)
print(*(type(toml.checked(Config(agent=each())).agent).__name__ for each in (DQN, own.Plain)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    said = (
        "configuration: agent: the class Untagged of __main__ has no tag of its own; "
        'write tag_field="kind", tag="__main__:untagged"'
    )
    assert done.stdout.splitlines() == [said, said, "DQN Plain"]


def test_a_wrong_kind_is_one_line_though_the_file_has_keys_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(MODULE)
    program = """
from tfdqn.config.toml import from_mapping
from tfdqn.errors import ConfigError
try:
    from_mapping({"agent": {"kind": "own:needy", "bins": 3}}, ["agent.kind=own"])
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == (
        'override: agent.kind = "own": must be one of "dqn", "double_dqn", "munchausen", "pqn", "c51", "qr_dqn", '
        '"iqn", or one of your own, "my_module:name"\n'
    )


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("units", ' (did you mean "memory_units" or "hidden_units"?)'),
        ("noisy_sigm", ' (did you mean "noisy_sigma"?)'),
        ("its", ""),
        ("hidden_unit", ' (did you mean "hidden_units"?)'),
    ],
)
def test_a_key_that_has_the_word_is_suggested_before_one_that_is_spelt_like_it(word: str, meant: str) -> None:
    assert did_you_mean(word, MLP.__struct_fields__) == meant


def test_of_many_keys_that_have_the_word_the_three_most_like_it_are_suggested() -> None:
    keys = ("interval_env_steps", "stop_env_steps", "max_env_steps_of_all", "env_steps_per_update", "a_env_steps")
    assert did_you_mean("env_steps", keys) == (
        ' (did you mean "a_env_steps", "stop_env_steps" or "interval_env_steps"?)'
    )


def test_a_key_that_differs_by_a_letter_is_suggested_before_those_that_have_the_word() -> None:
    meant = ' (did you mean "action_masks", "action_mask_form" or "action_mask_source"?)'
    assert did_you_mean("action_mask", Task.__struct_fields__) == meant


@pytest.mark.parametrize(
    ("word", "meant"), [("ddqn", "double_dqn"), ("DQN", "dqn"), ("DoubleDQN", "double_dqn"), ("QR-DQN", "qr_dqn")]
)
def test_kinds_are_suggested_for_abbreviations_and_in_whatever_case(word: str, meant: str) -> None:
    assert did_you_mean(word, ("dqn", "double_dqn", "c51", "qr_dqn")) == f' (did you mean "{meant}"?)'


@pytest.mark.parametrize("names", [5, "entropy", ("entropy", 3)])
def test_metrics_that_are_no_names_are_refused_where_the_class_is_written(names: object) -> None:
    with pytest.raises(OwnCodeError) as refused:

        class Faulty(Agent, frozen=True, kw_only=True):
            metrics = names

    said = f'the class Faulty of {__name__} sets metrics = {names!r}; expected names: ("entropy",)'
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        *(
            (names, 'names of letters, digits, "_" and "-": ("entropy",)')
            for names in [("",), ("a", "my/loss"), ["a b"]]
        ),
        (("gap", "gap"), "each name once"),
    ],
)
def test_metrics_whose_curves_would_have_another_name_or_the_same_are_refused(names: object, expected: str) -> None:
    """The curve "loss_my/loss" would be recorded as "loss", in the place of the loss itself."""
    with pytest.raises(OwnCodeError) as refused:

        class Faulty(Agent, frozen=True, kw_only=True):
            metrics = names

    assert str(refused.value) == f"the class Faulty of {__name__} sets metrics = {names!r}; expected {expected}"
