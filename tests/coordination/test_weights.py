"""Weights from learner to actor: the newest replace those before, whatever their version."""

import numpy as np
import pytest

from tfdqn.coordination.weights import VersionedWeights, WeightsBoard


def test_a_resumed_learner_may_publish_an_older_version_or_the_same() -> None:
    board = WeightsBoard()
    for version, value in ((100, 1.0), (60, 2.0), (60, 3.0)):
        board.put(VersionedWeights(version, {"w": np.full(1, value)}))
        assert (board.version(), board.get()) == (version, (version, {"w": np.full(1, value)}))


def test_nothing_can_be_fetched_before_it_was_published() -> None:
    board = WeightsBoard()
    assert board.version() == -1
    with pytest.raises(LookupError, match="published"):
        board.get()
