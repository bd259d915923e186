"""Weights on their way from the learner to the actors: versioned, so that nothing is fetched twice.

A version is the train step that made the weights. The learner publishes on a `WeightsBoard`; a client does not know
whether it asks that, or another process.
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


class WeightsBoard:
    """Where the learner publishes, for threads of its process: one reference, replaced whole."""

    def __init__(self) -> None:
        self._kept: VersionedWeights | None = None

    def version(self) -> int:
        return -1 if self._kept is None else self._kept.version

    def put(self, versioned: VersionedWeights) -> None:
        """Replaces what is kept; the arrays must not change afterwards."""
        self._kept = versioned

    def get(self) -> VersionedWeights:
        if self._kept is None:
            raise LookupError("no weights were published yet")
        return self._kept


class WeightsClient:
    """An actor's or evaluator's copy of the weights, refreshed when the version has moved."""

    def __init__(self, source: WeightsSource):
        self._source = source
        self._held: VersionedWeights | None = None

    def refresh(self) -> None:
        """Fetches the weights if the version has moved."""
        if self._held is None or self._source.version() != self._held.version:
            self._held = self._source.get()

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
