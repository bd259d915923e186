"""Weights on their way from the learner to whoever acts: versioned, so that nothing is fetched twice.

A version is the train step that made the weights. `WeightsBoard` is the transport inside one process; the
publisher and the client do not know which transport they use.
"""

from typing import NamedTuple, Protocol

from tfdqn.types import Weights


class VersionedWeights(NamedTuple):
    """Weights by canonical name, and the train step that made them."""

    version: int
    weights: Weights


class WeightsSource(Protocol):
    """Where the newest weights are found."""

    def version(self) -> int:
        """The version now kept; -1 before the first. Cheap: clients poll it."""

    def get(self) -> VersionedWeights:
        """What is kept. Raises LookupError before the first."""


class Transport(WeightsSource, Protocol):
    """Where the newest weights are put, too."""

    def put(self, versioned: VersionedWeights) -> None:
        """Replaces what is kept."""


class WeightsBoard:
    """The transport between threads of one process: one reference, replaced whole."""

    def __init__(self) -> None:
        self._kept: VersionedWeights | None = None

    def version(self) -> int:
        return -1 if self._kept is None else self._kept.version

    def put(self, versioned: VersionedWeights) -> None:
        self._kept = versioned

    def get(self) -> VersionedWeights:
        if self._kept is None:
            raise LookupError("no weights were published yet")
        return self._kept


class VariablePublisher:
    """Puts the online network's weights where actors look."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def publish(self, version: int, weights: Weights) -> None:
        """Publishes the weights of train step `version`; the arrays must not change afterwards."""
        self._transport.put(VersionedWeights(version, weights))


class WeightsClient:
    """An actor's or evaluator's copy of the weights, refreshed when the version has moved."""

    def __init__(self, transport: WeightsSource):
        self._transport = transport
        self._held: VersionedWeights | None = None

    def refresh(self) -> None:
        """Fetches the weights if the version has moved."""
        if self._held is None or self._transport.version() != self._held.version:
            self._held = self._transport.get()

    @property
    def version(self) -> int:
        """The train step that made the weights held."""
        return self._require().version

    @property
    def weights(self) -> Weights:
        """The weights held."""
        return self._require().weights

    def _require(self) -> VersionedWeights:
        if self._held is None:
            raise LookupError("no weights were fetched yet: call refresh() first")
        return self._held
