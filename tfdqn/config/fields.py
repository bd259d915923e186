"""The kinds of numbers that keys of the configuration hold, and how a key says what it means."""

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1, le=2**53)]
CountOrZero = Annotated[int, Meta(ge=0, le=2**53)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
PositiveFraction = Annotated[float, Meta(gt=0, le=1)]
DecayRate = Annotated[float, Meta(ge=0, lt=1)]
Positive = Annotated[float, Meta(gt=0, le=1e12)]
NonNegative = Annotated[float, Meta(ge=0, le=1e12)]


def doc(text: str) -> Meta:
    """What a key means; `tfdqn config` prints it beside the value."""
    return Meta(description=text)


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the configuration. Subclasses repeat `frozen` and `kw_only`: for mypy, and for their own keys."""
