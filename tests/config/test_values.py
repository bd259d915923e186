"""A value of the wrong type is answered with how to write it, where that is known."""

import pytest

from tfdqn.config.toml import from_mapping
from tfdqn.errors import ConfigError

WIDTHS = "must be a list, each element of which is a whole number from 1 to 65536"
TAGS = "must be a list, each element of which is text in quotes"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("network.hidden_units=64,64", f'network.hidden_units = "64,64": {WIDTHS}: write [64, 64]'),
        ("network.hidden_units=64", f"network.hidden_units = 64: {WIDTHS}: write [64]"),
        ("network.hidden_units=64x64", f'network.hidden_units = "64x64": {WIDTHS}'),
        ("network.hidden_units=0,64", f'network.hidden_units = "0,64": {WIDTHS}'),
        ("network.hidden_units=[64, 0]", f"network.hidden_units = [64, 0]: {WIDTHS}"),
        ("tracking.tags=a,b", f"tracking.tags = \"a,b\": {TAGS}: write ['a', 'b']"),
        ("stop.env_steps=1e5", "stop.env_steps = 100000.0: must be a whole number at least 1: write 100_000"),
    ],
)
def test_a_value_of_the_wrong_type_is_answered_with_the_right_one(override: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_mapping({}, [override])
    assert str(caught.value) == f"override: {line}"
