"""A configuration of defaults and overrides alone is read as one of a file is."""

import pytest

from tfdqn.config import Config, NatureCNN
from tfdqn.config.toml import load
from tfdqn.errors import ConfigError


def test_without_a_file_all_else_is_the_default() -> None:
    assert load() == load(None, []) == Config()
    changed = load(overrides=["agent.n_step=3", "network.kind=nature_cnn"])
    assert (changed.agent.n_step, changed.network, changed.task) == (3, NatureCNN(), Config().task)


def test_its_mistakes_are_the_overrides() -> None:
    with pytest.raises(ConfigError, match=r"^override: agent\.n_step = 0: must be a whole number from 1 to 1000$"):
        load(None, ["agent.n_step=0"])
    with pytest.raises(
        ConfigError, match=r'^override: agent\.huber_delta = 2 needs agent\.loss = "huber", not "squared"$'
    ):
        load(None, ["agent.huber_delta=2.0"])
