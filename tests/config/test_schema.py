"""The values of a configuration are in Python's own types."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfdqn.config import DQN, Adam, Config, Task
from tfdqn.config.schema import values_of
from tfdqn.config.toml import checked, dump
from tfdqn.errors import ConfigError


def test_numbers_of_numpy_are_numbers_and_its_arrays_are_refused() -> None:
    given = Config(
        seed=np.int64(3), optimizer=Adam(learning_rate=np.float32(0.25)), task=Task(kwargs={"g": np.int8(1)})
    )
    assert checked(given) == Config(seed=3, optimizer=Adam(learning_rate=0.25), task=Task(kwargs={"g": 1}))
    assert type(checked(given).seed) is int
    assert values_of(given)["seed"] == 3
    with pytest.raises(ConfigError, match=r"^configuration: no key takes array\(\[1\]\), a ndarray$"):
        checked(Config(task=Task(kwargs={"size": np.array([1])})))


def test_the_repr_of_a_configuration_has_only_what_was_changed() -> None:
    shown = repr(Config(seed=2, agent=DQN(n_step=3)))
    assert shown.startswith("Config(seed=2, task=Task(), network=MLP(), agent=DQN(n_step=3), ensemble=Ensemble(), ")


@pytest.mark.parametrize("take", [checked, dump])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, r"config: a tfdqn\.Config is needed \(tfdqn\.load_config reads one\), not 3"),
        (Config(agent=DQN), r"configuration: agent = DQN is a class: write DQN\(\)"),
        (Config(task=Task), r"configuration: task = Task is a class: write Task\(\)"),
        (Config(task="x"), r'configuration: task = "x": must be a table, \[task\]'),
    ],
)
def test_what_is_no_configuration_and_no_section_is_named(
    take: Callable[[Any], object], given: object, said: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{said}$"):
        take(given)
