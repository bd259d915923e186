"""Networks that act by TensorFlow are where the configuration says, whatever device operations else fall to."""

import json

import pytest

from tests.support.parity_runs import forked
from tests.support.tiny_runs import tiny
from tfdqn.acting.policy import acting_device

CENTRAL = "acting.inference=central"


def test_without_a_gpu_all_act_on_the_cpu() -> None:
    for overrides in ((), ("acting.device=gpu",), (CENTRAL,)):
        assert acting_device(tiny(*overrides)) == "/CPU:0"


@pytest.mark.parametrize(
    ("overrides", "device"),
    [
        ((), "CPU:0"),
        (("acting.device=gpu",), "CPU:1"),
        ((CENTRAL,), "CPU:1"),
        ((CENTRAL, "acting.device=cpu"), "CPU:0"),
    ],
    ids=["auto", "gpu", "auto, central", "cpu, central"],
)
def test_weights_and_layers_are_where_the_configuration_says(overrides: list[str], device: str) -> None:
    """The second part of the CPU stands for a GPU, to which operations fall that are told no device."""
    found = json.loads(forked([({}, ["acting", "2", *overrides])]))
    assert found == {"convolutions": {device: 3}, "sent": {}}
