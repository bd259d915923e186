"""Rollouts that are divided among replicas or processes give the weights and moments of plain local training."""

import pytest

from tests.support.parity_runs import largest_difference


@pytest.mark.parametrize(
    "arguments",
    [
        ["local", "1"],
        ["mirrored", "2", "off"],
        pytest.param(["mirrored", "4", "on"], marks=pytest.mark.long),
        ["multi_worker", "2", "off"],
        pytest.param(["multi_worker", "3", "on"], marks=pytest.mark.long),
    ],
    ids=" ".join,
)
def test_a_divided_rollout_is_learned_from_as_the_whole_is(arguments: list[str]) -> None:
    strategy, *others = arguments
    assert largest_difference(f"rollouts by {strategy}", *others) < 1e-5
