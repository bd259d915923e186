"""Before anything acts: an own network computes the same in NumPy as in TensorFlow, and an own loss is traced."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.batches import vector_spec
from tests.support.mistaken_network import mistaken
from tfdqn.config import C51, Config, DoubleDQN, Linear
from tfdqn.errors import OwnCodeError
from tfdqn.learning.rehearsal import rehearse

SPEC = vector_spec(5, 3)
OWN = r"^torso_numpy at \S+/mistaken_network\.py:\d+ and head_numpy at \S+/mistaken_network\.py:\d+: in NumPy, Q is "


def rehearsed(config: Config) -> int:
    """How often the updater was traced."""
    traced: list[None] = []
    updater: Any = SimpleNamespace(trace=lambda: traced.append(None))
    rehearse(config, SPEC, updater)
    return len(traced)


@pytest.mark.parametrize(
    ("mistake", "said"),
    {
        "numpy float64": OWN + r"a NumPy array float64\[3, 3\]; expected a NumPy array float32\[3, 3\]$",
        "numpy other": OWN + r"\S+, where TensorFlow computes \S+ by the same weights$",
        "numpy mean": OWN + r"a NumPy array float32\[3\]; expected a NumPy array float32\[3, 3\]$",
        "numpy nothing": r"^the result of torso_numpy at \S+ = None; expected a function of \(weights, observation\)$",
        "numpy one parameter": r" takes \(weights\); expected \(weights, observation\)$",
    }.items(),
)
def test_each_mistake_in_numpy_is_one_line(mistake: str, said: str) -> None:
    with pytest.raises(OwnCodeError, match=said):
        rehearsed(mistaken(mistake))


def test_updates_that_cannot_be_traced_name_the_own_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.config.user_modules._packages", set())  # the tests themselves may be in it

    def trace() -> None:
        raise ValueError("Dimensions must be equal")

    updater: Any = SimpleNamespace(trace=trace)
    said = r"^updates can't be made of .*mistaken_network\.py:\d+: ValueError: Dimensions must be equal$"
    with pytest.raises(OwnCodeError, match=said):
        rehearse(mistaken(), SPEC, updater)


def test_an_update_of_own_parts_is_traced() -> None:
    assert rehearsed(mistaken()) == 1


@pytest.mark.parametrize("agent", [DoubleDQN(), C51()])
def test_built_in_ones_cost_nothing(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("tfdqn.learning.rehearsal.network_to_load")
    assert rehearsed(Config(agent=agent)) == 0
    assert rehearsed(Config(agent=agent, network=Linear())) == 0
