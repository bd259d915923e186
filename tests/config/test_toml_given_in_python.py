"""A file's path and overrides of the wrong types, which only Python can give, are refused in one line."""

from pathlib import Path
from typing import Any

import pytest

from tfdqn.config import Config
from tfdqn.config.toml import load, with_changed_task
from tfdqn.errors import ConfigError

DUE = 'overrides must be a list of key=value strings, such as ["agent.n_step=3"]; '


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ({"agent.n_step": 3}, "what was given is of type dict"),
        ({}, "what was given is of type dict"),
        (["seed=1", 3], "3 is of type int"),
        ([None], "None is None"),
        (3, "what was given is of type int"),
        (None, "what was given is None"),
    ],
)
def test_overrides_are_a_list_of_strings(overrides: Any, found: str, tmp_path: Path) -> None:
    (tmp_path / "small.toml").touch()
    for refuse in (
        lambda: load(tmp_path / "small.toml", overrides),
        lambda: with_changed_task(Config(), overrides, ""),
    ):
        with pytest.raises(ConfigError) as caught:
            refuse()
        assert str(caught.value) == DUE + found


@pytest.mark.parametrize(("path", "found"), [({}, "of type dict"), (None, "None"), (b"small.toml", "of type bytes")])
def test_a_file_is_named_by_a_path(path: Any, found: str) -> None:
    with pytest.raises(ConfigError, match=f"^the path of a TOML file is needed, .*; what was given is {found}$"):
        load(path)
