"""The building blocks of sections: types of numbers, and marks for what a key means, needs and is fixed in."""

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


# Where a key's value is fixed: it can't change when a run is resumed, or when stored replay is used again. A key is
# marked itself, or by its section in `Config`; without a mark it is fixed in the run and not in replay.
MAY_CHANGE = Meta(extra={"fixed_in": ()})  # how work is divided, monitored and saved
FIXED_IN_RUN = Meta(extra={"fixed_in": ("run",)})  # weights, curves, the best policy
FIXED_IN_REPLAY = Meta(extra={"fixed_in": ("replay",)})  # what transitions are, and how many are kept
FIXED_IN_BOTH = Meta(extra={"fixed_in": ("run", "replay")})


class Section(Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """The base of all sections. Subclasses must repeat `frozen` and `kw_only`, which are not inherited by new keys."""

    @property
    def kind(self) -> str:
        """The kind of the section in a configuration file, such as "dqn"; "" if there is only one."""
        return str(self.__struct_config__.tag or "")


def doc(text: str, **limits: Any) -> Meta:
    """The meaning of a key, which `tfdqn config` prints beside its value; `limits` are `Meta`'s, such as ge and le."""
    return Meta(description=text, **limits)


def named(*names: str, own: str = r"[A-Za-z_][\w.]*:\w+", example: str = "my_package.my_module:name") -> Meta:
    """A string that is one of `names`, or a name of the user's own: a match of the pattern `own`, such as `example`."""
    return Meta(pattern=rf"\A({'|'.join(names)}|{own})\Z", extra={"names": names, "example": example})


@dataclass(frozen=True)
class Needs:
    """A mark of a key or section that is read only if other keys have certain values.

    Attributes:
      keys: the other keys.
      holds: takes a whole configuration; returns whether the marked key is read.
      words: what is needed, such as 'agent.loss = "huber"'; if only the kind of agent matters, the reason instead.
    """

    keys: tuple[str, ...]
    holds: Callable[[Any], bool]
    words: str

    @property
    def is_of_the_agent(self) -> bool:
        """Whether only `agent.kind` matters, so that `words` gives the reason."""
        return self.keys == ("agent.kind",)


def needs(key: str, *values: str | bool) -> Needs:
    """The key is read if another key has one of these values, or one from a module of the user's own."""

    def holds(config: Any) -> bool:
        value = attrgetter(key)(config)
        return value in values or ":" in str(value)

    return Needs((key,), holds, f"{key} = {either(values)}")


def needs_above(bound: int, *keys: str) -> Needs:
    """The key is read if at least one of these keys is above `bound`."""
    return Needs(
        keys, lambda config: any(attrgetter(key)(config) > bound for key in keys), f"{' or '.join(keys)} above {bound}"
    )


def needs_given(*keys: str) -> Needs:
    """The key is read if at least one of these optional keys is given."""
    return Needs(keys, lambda config: any(attrgetter(key)(config) is not None for key in keys), " or ".join(keys))


def needs_agent(trait: str, why: str) -> Needs:
    """The key is read if the agent has this trait, such as `has_replay`; `why` says why others don't read it."""
    return Needs(("agent.kind",), lambda config: bool(getattr(config.agent, trait)), why)


def needs_of(key_type: Any) -> tuple[Needs, ...]:
    """The `Needs` marks of a key or section."""
    return tuple(each for each in getattr(key_type, "__metadata__", ()) if isinstance(each, Needs))


def doc_of(key_type: Any) -> str:
    """The meaning of a key, from its `doc`; "" if it has none."""
    found = (each.description for each in getattr(key_type, "__metadata__", ()) if isinstance(each, Meta))
    return next(filter(None, found), "")


def fixed_in(key_type: Any, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """Where a key or section is marked as fixed, of "run" and "replay"; `otherwise` if it has no mark."""
    marks = (each.extra or {} for each in getattr(key_type, "__metadata__", ()) if isinstance(each, Meta))
    return next((extra["fixed_in"] for extra in marks if "fixed_in" in extra), otherwise)


def kinds(section_type: Any) -> dict[str, type[Struct]]:
    """A section's structs by their `kind`, which is "" if there is only one. Empty if the type isn't a section's.

    Kinds are the members of a union, or the subclasses of a struct that have a tag, wherever they are defined. A
    subclass inherits the tag of its base, and is no kind unless it has its own.
    """
    structs = _members(section_type)
    if len(structs) == 1:
        structs = [each for each in _with_subclasses(structs[0]) if has_own_tag(each)] or structs
    return {str(each.__struct_config__.tag or ""): each for each in structs}


def has_own_tag(struct: type[Struct]) -> bool:
    """Whether a struct has a tag that is not that of a base."""
    bases = [base for base in struct.__mro__ if issubclass(base, Struct) and base is not Struct]
    tag, *inherited = (base.__struct_config__.tag for base in bases)
    return tag is not None and tag not in inherited


def takes_own_kinds(section_type: Any) -> bool:
    """Whether a user's module can add a kind to a section: a subclass of the struct that the section is."""
    return len(_members(section_type)) == 1 and "" not in kinds(section_type)


def _members(section_type: Any) -> list[type[Struct]]:
    """The structs of a section's type: the members of a union, or one; none if the type isn't a section's."""
    bare = get_args(section_type)[0] if get_origin(section_type) is Annotated else section_type
    return [each for each in get_args(bare) or (bare,) if isinstance(each, type) and issubclass(each, Struct)]


def _with_subclasses(struct: type[Struct]) -> list[type[Struct]]:
    """A struct and all its subclasses, at any depth."""
    return [struct, *(each for direct in struct.__subclasses__() for each in _with_subclasses(direct))]
