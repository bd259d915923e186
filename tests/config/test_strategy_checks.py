"""What can't be split over devices: each is refused in one sentence."""

import pytest

from tfdqn.config.toml import from_mapping
from tfdqn.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("network.layer_norm=true", "network.layer_norm = true"),
        ("network.noisy=true", "network.noisy = true"),
        ("network.kind=impala", 'network.kind = "impala"'),
    ],
)
def test_what_cannot_be_split_is_refused_before_anything_starts(override: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_mapping({}, [override, "learner.model_parallel=2"])
    line = str(caught.value)
    assert line.startswith(f"configuration: {told} with learner.model_parallel = 2: ")
    assert "can't be split over devices" in line


def test_a_dueling_network_can_be_split() -> None:
    config = from_mapping({}, ["network.dueling=true", "learner.model_parallel=2"])
    assert config.learner.model_parallel == 2
