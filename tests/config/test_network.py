"""Which networks may have convolutions, as far as that is known before a configuration is read."""

from typing import Any

import pytest

from tfdqn.config import MLP, ConvolutionalNetwork, Impala, NatureCNN, SmallCNN
from tfdqn.config.network import may_convolve


class OwnDense(MLP, frozen=True, kw_only=True, tag_field="kind", tag="tests.config.test_network:dense"):
    """A known kind from outside, without convolutions."""


class OwnConvolutions(
    ConvolutionalNetwork, frozen=True, kw_only=True, tag_field="kind", tag="tests.config.test_network:convolutions"
):
    """A known kind from outside, with convolutions."""


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"kind": "tests.config.test_network:dense"}, False),
        ({"kind": "tests.config.test_network:convolutions"}, True),
        ({"kind": "not_imported:yet"}, True),
        *(({"kind": kind}, True) for kind in ("nature_cnn", "small_cnn", "impala")),
        *(({"kind": kind}, False) for kind in ("mlp", "linear", "unknown", 3)),
        ({}, False),
        (None, False),
    ],
)
def test_networks_may_convolve_if_they_say_so_or_are_not_known_yet(section: Any, expected: bool) -> None:
    assert may_convolve(section) is expected


def test_all_networks_with_convolutions_are_slow_in_xla_and_only_small_ones_leave_cores_to_others() -> None:
    networks = [NatureCNN, Impala, SmallCNN, OwnConvolutions]
    assert [each.is_slow_in_xla for each in networks] == [True] * 4
    assert [each.fills_all_cores for each in networks] == [True, True, False, True]
