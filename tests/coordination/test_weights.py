"""Weights from learner to actor: versions move forward, and copies stay as they were."""

import numpy as np
import pytest

from tfdqn.coordination.weights import VersionedWeights, WeightsBoard, WeightsClient


def test_a_client_holds_its_weights_until_it_is_refreshed() -> None:
    board = WeightsBoard()
    client = WeightsClient(board)
    board.put(VersionedWeights(5, {"w": np.array([1.0, 2.0])}))
    client.refresh()
    held = client.weights
    client.refresh()
    assert client.version == 5 and client.weights is held
    np.testing.assert_array_equal(client.weights["w"], [1, 2])

    board.put(VersionedWeights(6, {"w": np.array([3.0, 4.0])}))
    assert board.version() == 6
    np.testing.assert_array_equal(client.weights["w"], [1, 2])
    client.refresh()
    np.testing.assert_array_equal(client.weights["w"], [3, 4])


def test_a_resumed_learner_may_publish_an_older_version_or_the_same() -> None:
    board = WeightsBoard()
    client = WeightsClient(board)
    for version, value in ((100, 1.0), (60, 2.0), (60, 3.0)):
        board.put(VersionedWeights(version, {"w": np.full(1, value)}))
        client.refresh()
        assert (client.version, client.weights["w"][0]) == (version, value)


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
