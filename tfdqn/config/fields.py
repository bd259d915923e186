"""What keys of the configuration are made of: kinds of numbers, what a key means, needs, and is held fixed by."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, get_args, get_origin

from msgspec import Meta, Struct

from tfdqn.config.wording import either

Count = Annotated[int, Meta(ge=1, le=2**53)]
CountOrZero = Annotated[int, Meta(ge=0, le=2**53)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
PositiveFraction = Annotated[float, Meta(gt=0, le=1)]
DecayRate = Annotated[float, Meta(ge=0, lt=1)]
Positive = Annotated[float, Meta(gt=0, le=1e12)]
NonNegative = Annotated[float, Meta(ge=0, le=1e12)]


# What a key's value is fixed in, so that resuming can't change it once something was learned or stored. A key says it
# itself, or else its section does in `Config`; where neither does, it is fixed in the run and not in replay.
MAY_CHANGE = Meta(extra={"fixed_in": ()})  # how work is divided, watched and kept
FIXED_IN_REPLAY = Meta(extra={"fixed_in": ("replay",)})  # what transitions are, and how many there should be
FIXED_IN_BOTH = Meta(extra={"fixed_in": ("run", "replay")})  # in the run: weights, curves, the best policy


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the configuration. Subclasses repeat `frozen` and `kw_only`: for mypy, and for their own keys."""


def doc(text: str, **limits: Any) -> Meta:
    """What a key means, which `tfdqn config` prints beside the value; `limits` are `Meta`'s, such as ge and le."""
    return Meta(description=text, **limits)


def named(*names: str, own: str = r"[A-Za-z_][\w.]*:\w+", example: str = "my_package.my_module:name") -> Meta:
    """A text that is one of them, or one of the user's own, such as `example`: of the form `own`."""
    return Meta(pattern=f"^({'|'.join(names)}|{own})$", extra={"names": names, "example": example})


@dataclass(frozen=True)
class Needs:
    """A mark of a key or a section: where other keys don't hold what it says, the key is never read.

    Attributes:
      keys: those that it depends on.
      holds: of a whole configuration: whether the key is read.
      words: what is needed, such as 'agent.loss = "huber"'; where that is nothing but another `agent.kind`, why.
    """

    keys: tuple[str, ...]
    holds: Callable[[Any], bool]
    words: str

    @property
    def is_of_the_agent(self) -> bool:
        """Whether `agent.kind` alone decides, which `words` then gives the reason for."""
        return self.keys == ("agent.kind",)


def needs(key: str, *values: str | bool) -> Needs:
    """One of these values of another key, or one that a module of the user's registers, which may read any key."""

    def holds(config: Any) -> bool:
        value = attrgetter(key)(config)
        return value in values or ":" in str(value)

    return Needs((key,), holds, f"{key} = {either(values)}")


def needs_above(bound: int, *keys: str) -> Needs:
    """A number above `bound` in one of these keys at least."""
    return Needs(
        keys, lambda config: any(attrgetter(key)(config) > bound for key in keys), f"{' or '.join(keys)} above {bound}"
    )


def needs_given(*keys: str) -> Needs:
    """One at least of these keys, which may be left out."""
    return Needs(keys, lambda config: any(attrgetter(key)(config) is not None for key in keys), " or ".join(keys))


def needs_agent(trait: str, why: str) -> Needs:
    """A kind of agent with this trait, such as `has_replay`; `why` follows "means nothing with agent.kind = …: "."""
    return Needs(("agent.kind",), lambda config: bool(getattr(config.agent, trait)), why)


def needs_of(key_type: Any) -> tuple[Needs, ...]:
    """The marks of a key or a section."""
    return tuple(each for each in getattr(key_type, "__metadata__", ()) if isinstance(each, Needs))


def fixed_in(key_type: Any, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """Which of "run" and "replay" a key or a section says that it is fixed in."""
    marks = (each.extra or {} for each in getattr(key_type, "__metadata__", ()) if isinstance(each, Meta))
    return next((extra["fixed_in"] for extra in marks if "fixed_in" in extra), otherwise)


def kinds(section_type: Any) -> dict[str, type[Struct]]:
    """A section's structs by their `kind`, which is "" where it has but one; empty for a key that is no section.

    Kinds are the members of a union, or the subclasses of a struct that have a tag, wherever they are defined.
    """
    bare = get_args(section_type)[0] if get_origin(section_type) is Annotated else section_type
    structs = [each for each in get_args(bare) or (bare,) if isinstance(each, type) and issubclass(each, Struct)]
    tagged = [each for struct in structs for each in _with_all_below(struct) if each.__struct_config__.tag]
    return {str(each.__struct_config__.tag or ""): each for each in tagged or structs}


def _with_all_below(struct: type[Struct]) -> list[type[Struct]]:
    """It, its subclasses, and theirs."""
    return [struct, *(each for direct in struct.__subclasses__() for each in _with_all_below(direct))]
