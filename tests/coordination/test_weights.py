"""Weights from learner to actor: versions move forward, nothing is fetched twice, copies stay as they were."""

import numpy as np
import pytest

from tfdqn.coordination.weights import VersionedWeights, WeightsBoard, WeightsClient


class CountingBoard(WeightsBoard):
    def __init__(self) -> None:
        super().__init__()
        self.fetches = 0

    def get(self) -> VersionedWeights:
        self.fetches += 1
        return super().get()


def test_a_client_fetches_only_when_the_version_has_moved() -> None:
    board = CountingBoard()
    client = WeightsClient(board)
    board.put(VersionedWeights(5, {"w": np.array([1.0, 2.0])}))
    for _ in range(2):
        client.refresh()
    assert (client.version, board.fetches) == (5, 1)
    np.testing.assert_array_equal(client.weights["w"], [1, 2])

    board.put(VersionedWeights(6, {"w": np.array([3.0, 4.0])}))
    assert board.version() == 6
    np.testing.assert_array_equal(client.weights["w"], [1, 2])
    client.refresh()
    assert board.fetches == 2
    np.testing.assert_array_equal(client.weights["w"], [3, 4])


def test_a_resumed_learner_may_publish_an_older_version() -> None:
    board = WeightsBoard()
    client = WeightsClient(board)
    for version in (100, 60):
        board.put(VersionedWeights(version, {"w": np.zeros(1)}))
        client.refresh()
        assert client.version == version


def test_nothing_can_be_fetched_before_it_was_published() -> None:
    board = WeightsBoard()
    client = WeightsClient(board)
    assert board.version() == -1
    with pytest.raises(LookupError, match="published"):
        client.refresh()
    with pytest.raises(LookupError, match="refresh"):
        _ = client.weights
    with pytest.raises(LookupError, match="refresh"):
        _ = client.version
