"""What is wrong with a user's class of settings where a configuration names its kind or key in vain."""

from collections.abc import Mapping

from msgspec import Struct

from tfdqn.config.own_code import is_own

_VALUES = (bool, int, float, str)  # the types of what a class may have meant as a key's default


def mistaken_tag(kind: str, by_kind: Mapping[str, type[Struct]]) -> str:
    """Says which class has the tag "name" instead of `kind`, "my_module:name"; "" if none of that module has."""
    module, _, name = kind.rpartition(":")
    for tag, struct in by_kind.items():
        if struct.__module__ == module and is_own(struct) and tag != kind and tag.rpartition(":")[2] == name:
            return f'the class {struct.__name__} of {module} has the tag "{tag}"; it must be tag="{kind}"'
    return ""


def without_annotation(struct: type[Struct], key: str) -> str:
    """Says that the user's class sets a value of this name that lacks the annotation of a key; "" if it does not."""
    if any(hasattr(base, key) for base in struct.__mro__ if not is_own(base)):
        return ""  # a trait of all kinds, such as fills_all_cores
    for base in filter(is_own, struct.__mro__):
        value = vars(base).get(key)
        if key in vars(base) and key not in base.__annotations__ and isinstance(value, _VALUES):
            annotated = f"{key}: {type(value).__name__} = {value!r}"
            return f"the class {base.__name__} of {base.__module__} sets it without an annotation; write {annotated}"
    return ""
