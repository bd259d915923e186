"""Configurations at random: whatever is valid is read back, whatever is not is one clear line."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.random_configs import PLAIN, TEXT, valid_configs
from tfdqn.config import Config
from tfdqn.config.fields import kinds, takes_own_kinds
from tfdqn.config.toml import differences, dump, from_mapping, load
from tfdqn.errors import ConfigError


@settings(max_examples=40, phases=set(Phase) - {Phase.shrink})  # which takes minutes; the error says what is wrong
@given(valid_configs())
def test_every_valid_configuration_is_read_back_as_it_was_written(config: Config) -> None:
    assert from_mapping(tomllib.loads(dump(config))) == config
    assert differences(config, config, "run") == []


ALL_KEYS = [
    f"{field.name}.{key}"
    for field in msgspec.structs.fields(Config)
    for struct in kinds(field.type).values()
    for key in ("kind", *struct.__struct_fields__)
]
WORDS = st.sampled_from(["", ".", "=", "nan", "inf", "[", "{", '"', "none", "\n", "1979-05-27", "3", "-1", "1e400"])


@settings(max_examples=300)
@given(st.sampled_from(ALL_KEYS) | TEXT, st.lists(WORDS | TEXT, max_size=3).map("".join))
def test_any_override_gives_a_configuration_or_one_clear_line(key: str, value: str) -> None:
    try:
        config = from_mapping({}, [f"{key}={value}"])
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
        assert str(error).isprintable()
    else:
        assert from_mapping(tomllib.loads(dump(config))) == config


STRANGE = PLAIN | st.none() | st.floats() | st.binary(max_size=3) | st.dates() | st.text(max_size=3)


@settings(max_examples=300)
@given(st.sampled_from(ALL_KEYS), STRANGE)
@example("agent.kind", {"a": 1})
def test_any_value_of_a_key_gives_a_configuration_or_one_clear_line(path: str, value: Any) -> None:
    section, key = path.split(".")
    try:
        from_mapping({section: {key: value}})
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1


@settings(max_examples=200)
@given(st.binary(max_size=60) | TEXT.map(str.encode))
def test_any_file_gives_a_configuration_or_one_clear_line(tmp_path_factory: Any, content: bytes) -> None:
    file = tmp_path_factory.mktemp("config") / "some.toml"
    file.write_bytes(content)
    try:
        load(file)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
        assert str(error).startswith(f"{file}: ")


CONTRADICTION = "exploration.end = 0.9 is more than exploration.start = 0.5"


@pytest.mark.parametrize(
    ("values", "overrides", "options", "begins"),
    [
        ({}, ["exploration.start=0.5", "exploration.end=0.9"], {}, "override"),
        ({"exploration": {"start": 0.2, "end": 0.1}}, ["exploration={start=0.5, end=0.9}"], {}, "override"),
        ({"exploration": {"start": 0.5}}, ["exploration.end=0.9"], {}, "override (exploration.end) and a.toml"),
        ({"exploration": {"end": 0.9}}, ["exploration.start=0.5"], {}, "override (exploration.start) and a.toml"),
        ({"exploration": {"start": 0.5, "end": 0.9}}, ["seed=3"], {}, "a.toml"),
        ({}, ["exploration.start=0.5", "exploration.end=0.9"], {"exploration.end": "--end"}, "--end and override"),
    ],
)
def test_a_contradiction_names_all_that_gave_its_keys(
    values: dict[str, Any], overrides: list[str], options: dict[str, str], begins: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        from_mapping(values, overrides, "a.toml", options=options)
    assert str(caught.value) == f"{begins}: {CONTRADICTION}"


def test_a_contradiction_with_a_default_is_the_overrides_alone() -> None:
    with pytest.raises(ConfigError, match=r"^override: exploration\.end = 0\.05 is more than exploration\.start = 0"):
        from_mapping({"seed": 3}, ["exploration.start=0.01"], "a.toml")


def test_a_key_that_several_sections_have_is_suggested_in_each() -> None:
    meant = r'\(did you mean "checkpoint\.interval_seconds" or "logging\.interval_seconds"\?\); '
    with pytest.raises(ConfigError, match=rf"^a\.toml: interval_seconds is not a key {meant}"):
        from_mapping({"interval_seconds": 3}, [], "a.toml")


def test_a_directory_is_told_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a directory, not a configuration file$"):
        load(tmp_path)
    (tmp_path / "config.toml").touch()
    with pytest.raises(
        ConfigError,
        match=r"a run's is its config\.toml, with --run-dir .* \(run_dir in Python\) to go on with the run$",
    ):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["lion", "tests.config.test_reader:lion"])
def test_a_section_that_takes_no_kinds_of_the_users_names_those_that_it_has(kind: str) -> None:
    with pytest.raises(ConfigError, match=r'must be one of "adam", "radam", "rmsprop", "sgd"$'):
        from_mapping({"optimizer": {"kind": kind}})
    takers = [section.name for section in msgspec.structs.fields(Config) if takes_own_kinds(section.type)]
    assert takers == ["network", "agent"]


def test_a_kind_without_a_module_before_its_colon_is_none_of_the_users() -> None:
    with pytest.raises(
        ConfigError, match=r'network\.kind = ":x": must be one of "mlp", [^:]*"linear", or one of your own'
    ):
        from_mapping({"network": {"kind": ":x"}})
