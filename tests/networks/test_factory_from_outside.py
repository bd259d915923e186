"""A network from outside trains and saves the weights of the layers that it has made: all of them, and no others."""

import pytest

from tests.support.batches import vector_spec
from tests.support.mistaken_network import mistaken
from tfdqn.errors import OwnCodeError
from tfdqn.networks.factory import network_to_load

SPEC = vector_spec(5, 3)
OWN = r"^torso at \S+/mistaken_network\.py:\d+ and head at \S+/mistaken_network\.py:\d+: "


@pytest.mark.parametrize(
    ("mistake", "said"),
    {
        "own layer": OWN + r"the variable \S+/bias:0 would be neither trained nor saved: layers must come from the",
        "unused": OWN + "a layer with the weight second/kernel is made, and never called$",
        "fan_in": OWN
        + r"first/kernel is made as float32\[6, 8\], but what its layer .* float32\[5, 8\]: correct fan_in",
        "same name": '^two layers are named "first": each needs a name of its own',
    }.items(),
)
def test_each_mistake_is_one_line(mistake: str, said: str) -> None:
    with pytest.raises(OwnCodeError, match=said):
        network_to_load(mistaken(mistake), SPEC)


def test_a_network_without_one_is_made() -> None:
    names = {"first/kernel", "first/bias", "q/kernel", "q/bias"}
    assert set(network_to_load(mistaken(), SPEC).named_weights()) == names
