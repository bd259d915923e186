"""What is registered is found by the type of settings, or by its nearest base; what is not is one line."""

import pytest

from tfdqn.config import DQN, Agent, DoubleDQN, Linear, Network, TDAgent
from tfdqn.errors import ConfigError
from tfdqn.networks.registry import Registry


def test_settings_have_what_is_registered_for_their_type_or_its_nearest_base() -> None:
    registry = Registry({Agent: "any", TDAgent: "by TD error", DQN: "dqn"})
    assert [registry.of(each) for each in (DQN(), DoubleDQN(), Agent())] == ["dqn", "by TD error", "any"]
    registry[DoubleDQN] = "added"
    assert registry.of(DoubleDQN()) == "added"


def test_what_nobody_registered_is_said_in_one_line() -> None:
    with pytest.raises(ConfigError, match="nothing is registered for settings of the type Network"):
        Registry({Linear: 1}).of(Network())
