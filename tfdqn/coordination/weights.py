"""Weights from the learner to the actors, with versions, so that nothing is fetched twice.

A version is the train step that made the weights. A learner that resumes an earlier checkpoint counts to the same
versions again, so other processes tell weights apart by its life, too. The learner publishes on a
`WeightsBoard`; another process has `RemoteWeights`, which fetch one message that is encoded once.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from tfdqn.coordination.messages import NamedArray, WeightsReply, WeightsRequest
from tfdqn.coordination.rpc import RefusedError, UnreachableError
from tfdqn.errors import CheckpointError
from tfdqn.storage.arrays import ArrayInfo, check_arrays
from tfdqn.types import Weights

_DTYPES = {np.dtype(code).str for code in "?bhiqBHIQefd"}
_REPLY_SECONDS = 30.0  # of a network of hundreds of megabytes


class VersionedWeights(NamedTuple):
    """Weights by canonical name, and the train step that made them."""

    version: int
    weights: Weights


class WeightsSource(Protocol):
    """A source of the newest weights."""

    def version(self) -> int:
        """The present version; -1 before the first."""

    def get(self) -> VersionedWeights:
        """The present weights. Raises LookupError before the first. Cheap, because clients call it at every step."""


class WeightsBoard:
    """Where the learner publishes weights for threads of its process: one reference, which is replaced."""

    def __init__(self) -> None:
        self._kept: VersionedWeights | None = None

    def version(self) -> int:
        return -1 if self._kept is None else self._kept.version

    def put(self, versioned: VersionedWeights) -> None:
        """Replaces the weights. The arrays must not change afterwards."""
        self._kept = versioned

    def get(self) -> VersionedWeights:
        if self._kept is None:
            raise LookupError("no weights were published yet")
        return self._kept


class RemoteWeights:
    """The weights of a learner in another process, as of the last answer.

    A thread asks at an interval, so that neither `version` nor `get` waits for the network. While the learner is gone,
    its last weights are kept; the weights of its next life are taken even if their version is lower, or the same.

    Args:
      call: asks the learner, as `Membership.call`.
      interval_seconds: between two requests.
      wanted: names and shapes of this network's weights; others are never taken.
    """

    def __init__(self, call: Callable[..., Any], interval_seconds: float, wanted: Mapping[str, ArrayInfo]):
        self._call, self._interval_seconds, self._wanted = call, interval_seconds, wanted
        self._refused: CheckpointError | None = None
        self._board = WeightsBoard()
        self._life = ""  # of the learner whose weights are on the board
        self._closed = threading.Event()
        threading.Thread(target=self._fetch_until_closed, name="weights", daemon=True).start()

    def version(self) -> int:
        """The version last fetched; -1 before the first. Raises CheckpointError if another network's came since."""
        self._require_own()
        return self._board.version()

    def get(self) -> VersionedWeights:
        """The weights last fetched. Raises LookupError before the first, and CheckpointError as `version`."""
        self._require_own()
        return self._board.get()

    def fetch(self) -> None:
        """Fetches now. Raises UnreachableError, RefusedError, and CheckpointError for another network's weights."""
        found = self._call("weights", WeightsRequest(self.version(), self._life), WeightsReply, _REPLY_SECONDS)
        if found.arrays:
            arrays = arrays_of(found)
            check_arrays(arrays, self._wanted, "the learner's weights")
            self._board.put(VersionedWeights(found.version, arrays))
            self._life = found.life  # last: a request in between may repeat weights, but misses none

    def close(self) -> None:
        """Stops asking."""
        self._closed.set()

    def _require_own(self) -> None:
        if self._refused is not None:
            raise self._refused

    def _fetch_until_closed(self) -> None:
        while not self._closed.is_set():
            try:
                with suppress(UnreachableError, RefusedError):  # the heartbeat says for how long
                    self.fetch()
            except CheckpointError as error:
                self._refused = error
                return
            self._closed.wait(self._interval_seconds)


class EncodedWeights:
    """A board's weights as a message, which is made once for all that ask. `life` is the learner's."""

    def __init__(self, board: WeightsBoard, life: str):
        self._board, self._life = board, life
        self._lock = threading.Lock()
        self._made = b""
        self._of: VersionedWeights | None = None

    def other_than(self, request: WeightsRequest) -> WeightsReply | bytes:
        """The newest weights; no arrays if the asker holds these already, or if there are none yet."""
        if (self._board.version(), self._life) == (request.held, request.life):
            return WeightsReply(request.held)
        try:
            kept = self._board.get()
        except LookupError:
            return WeightsReply(-1)
        with self._lock:
            if self._of is not kept:
                reply = WeightsReply(kept.version, named_arrays(kept.weights), self._life)
                self._made = msgspec.msgpack.encode(reply)
                self._of = kept
            return self._made


def named_arrays(weights: Mapping[str, np.ndarray]) -> tuple[NamedArray, ...]:
    """Named arrays in the form of a message."""
    return tuple(named_array(name, array) for name, array in weights.items())


def named_array(name: str, array: np.ndarray) -> NamedArray:
    """One array in the form of a message."""
    return NamedArray(name, array.dtype.str, array.shape, array.tobytes())


def array_of(message: NamedArray) -> np.ndarray:
    """The array of a message. Raises ValueError if it is none."""
    if message.dtype not in _DTYPES:  # NumPy has a language of its own for types, and many ways to refuse one
        raise ValueError(f"{message.dtype!r} is not a numeric type")
    return np.frombuffer(message.content, message.dtype).reshape(message.shape)


def arrays_of(message: WeightsReply) -> dict[str, np.ndarray]:
    """The arrays of a message, by name."""
    return {each.name: array_of(each) for each in message.arrays}
