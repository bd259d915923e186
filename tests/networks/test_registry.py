"""What is registered is found by the type of settings, or by its nearest base; what is not is one line."""

import pytest

from tfdqn.config import DQN, Agent, DoubleDQN, Linear, Network, TDAgent
from tfdqn.errors import ConfigError, OwnCodeError
from tfdqn.networks.registry import Registry


def test_settings_have_what_is_registered_for_their_type_or_its_nearest_base() -> None:
    registry = Registry("LOSSES", Agent, {Agent: "any", TDAgent: "by TD error", DQN: "dqn"})
    assert [registry.of(each) for each in (DQN(), DoubleDQN(), Agent())] == ["dqn", "by TD error", "any"]
    registry[DoubleDQN] = "added"
    assert registry.of(DoubleDQN()) == "added"


def test_what_nobody_registered_is_said_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"TORSOS has nothing for Network, which tfdqn\.config\.network must add"):
        Registry("TORSOS", Network, {Linear: 1}).of(Network())


@pytest.mark.parametrize("key", [Linear, Linear(), "linear"])
def test_a_key_that_is_no_class_of_its_settings_is_refused(key: object) -> None:
    with pytest.raises(OwnCodeError, match=r"LOSSES\[.*\]: the key must be a class derived from Agent"):
        Registry("LOSSES", Agent, {})[key] = 1


def test_an_implementation_is_checked_before_it_is_registered() -> None:
    def check(implementation: object, where: str) -> None:
        raise OwnCodeError(f"{where} = {implementation}")

    registry = Registry("LOSSES", Agent, {Agent: 0}, check)
    with pytest.raises(OwnCodeError, match=r"LOSSES\[DQN\] = 1"):
        registry[DQN] = 1
    assert registry.of(DQN()) == 0
