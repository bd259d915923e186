"""Weights between processes: fetched when they are others than those held, bit for bit, and never waited for."""

from contextlib import closing
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.support.waiting import until
from tfdqn.coordination.messages import WeightsReply, WeightsRequest
from tfdqn.coordination.rpc import UnreachableError
from tfdqn.coordination.weights import (
    EncodedWeights,
    RemoteWeights,
    VersionedWeights,
    WeightsBoard,
    arrays_of,
    named_arrays,
)
from tfdqn.errors import CheckpointError

ARRAYS = {
    "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T,  # not contiguous
    "b/bias": np.zeros((0,), np.float32),
    "c": np.array(1.5, np.float64),
}


def through_a_message(weights: WeightsReply | bytes) -> WeightsReply:
    encoded = weights if isinstance(weights, bytes) else msgspec.msgpack.encode(weights)
    return msgspec.msgpack.decode(encoded, type=WeightsReply)


def test_arrays_come_out_as_they_went_in() -> None:
    back = arrays_of(through_a_message(WeightsReply(1, named_arrays(ARRAYS))))
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back[name], array)
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)


def test_only_weights_that_are_others_are_sent() -> None:
    board = WeightsBoard()
    encoded = EncodedWeights(board, "one")
    assert through_a_message(encoded.other_than(WeightsRequest(-1))) == WeightsReply(-1)
    assert through_a_message(encoded.other_than(WeightsRequest(7))) == WeightsReply(-1)
    board.put(VersionedWeights(5, ARRAYS))
    assert through_a_message(encoded.other_than(WeightsRequest(5, "one"))) == WeightsReply(5)
    # A learner that has started again may be behind, or have come to the same version.
    for held, life in ((-1, ""), (4, "one"), (6, "another"), (5, "another")):
        found = through_a_message(encoded.other_than(WeightsRequest(held, life)))
        assert (found.version, found.life, len(found.arrays)) == (5, "one", 3)


def test_the_message_is_made_once_for_each_version() -> None:
    board = WeightsBoard()
    encoded = EncodedWeights(board, "one")
    board.put(VersionedWeights(5, ARRAYS))
    first = encoded.other_than(WeightsRequest(-1))
    assert encoded.other_than(WeightsRequest(4)) is first
    board.put(VersionedWeights(6, ARRAYS))
    assert through_a_message(encoded.other_than(WeightsRequest(5))).version == 6


class Far:
    """A learner's side of the call, which can be away."""

    def __init__(self) -> None:
        self.board, self.is_away = WeightsBoard(), False
        self._encoded = EncodedWeights(self.board, "one")

    def __call__(self, method: str, request: WeightsRequest, reply: Any, timeout_seconds: float) -> WeightsReply:
        assert method == "weights"
        if self.is_away:
            raise UnreachableError("away")
        return through_a_message(self._encoded.other_than(request))


def test_weights_arrive_by_themselves_and_stay_while_the_learner_is_away() -> None:
    far = Far()
    with closing(RemoteWeights(far, 0.001, ARRAYS)) as weights:
        with pytest.raises(LookupError):
            weights.get()
        assert weights.version() == -1
        far.board.put(VersionedWeights(50, ARRAYS))
        until(lambda: weights.version() == 50, "weights")
        far.is_away = True
        np.testing.assert_array_equal(weights.get().weights["a/kernel"], ARRAYS["a/kernel"])
        far.board = WeightsBoard()
        far._encoded = EncodedWeights(far.board, "two")
        far.board.put(
            VersionedWeights(20, {name: array + 1 for name, array in ARRAYS.items()})
        )  # another life, from an earlier checkpoint
        assert weights.version() == 50
        far.is_away = False
        until(lambda: weights.version() == 20, "earlier weights")
        assert weights.get().weights.keys() == ARRAYS.keys()


def test_the_weights_of_the_learners_next_life_are_taken_though_their_version_is_the_same() -> None:
    far = Far()
    far.board.put(VersionedWeights(50, ARRAYS))
    with closing(RemoteWeights(far, 60, ARRAYS)) as weights:
        weights.fetch()
        lost = weights.get().weights["c"]
        far.board = WeightsBoard()
        far.board.put(VersionedWeights(50, {name: array + 1 for name, array in ARRAYS.items()}))
        far._encoded = EncodedWeights(far.board, "two")
        weights.fetch()
        held = weights.get()
        assert (held.version, held.weights["c"]) == (50, lost + 1)
        weights.fetch()  # of the same life: nothing comes
        assert weights.get() is held


def test_fetching_now_says_where_the_learner_is_away() -> None:
    far = Far()
    far.is_away = True
    with closing(RemoteWeights(far, 60, ARRAYS)) as weights:
        with pytest.raises(UnreachableError):
            weights.fetch()
        far.is_away = False
        far.board.put(VersionedWeights(1, ARRAYS))
        weights.fetch()
        assert weights.version() == 1


def test_another_networks_weights_are_never_taken_and_end_who_waits_for_them() -> None:
    far = Far()
    far.board.put(VersionedWeights(7, ARRAYS | {"c": np.zeros(2)}))
    with closing(RemoteWeights(far, 60, ARRAYS)) as weights:
        line = r"the learner's weights: c is float64\[2\], not float64\[\]: it belongs to another network"

        def refuses() -> bool:
            try:
                return weights.version() >= 0
            except CheckpointError:
                return True

        until(refuses, "refusal")
        with pytest.raises(CheckpointError, match=line):
            weights.version()
        with pytest.raises(CheckpointError, match=line):
            weights.get()
