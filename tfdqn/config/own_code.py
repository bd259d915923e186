"""Checks of what a user's module registers, and of functions that are given to `train` and `evaluate`.

Every mistake is an OwnCodeError, one line that names its place. What a module registers is checked when the module is
imported. Where a configuration names the kind or key of a user's class of settings in vain, `mistaken_tag`,
`mistaken_keys` and `without_annotation` say what is wrong with the class.
"""

import inspect
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from msgspec import Struct, structs

from tfdqn.config.fields import doc_of, has_own_tag
from tfdqn.errors import OwnCodeError, of_type

_PACKAGE = __name__.partition(".")[0]
_VALUES = (bool, int, float, str)  # the types of what a class may have meant as a key's default


def is_of_own_module(kind: Any) -> bool:
    """Whether a kind is written like one of the user's own, such as "my_package.my_module:name"."""
    return isinstance(kind, str) and kind.rpartition(":")[0] != ""


def is_own(function: Any) -> bool:
    """Whether a function or class was written by the user, rather than being one of this package."""
    module = str(getattr(_inner(function), "__module__", ""))
    return module.partition(".")[0] != _PACKAGE


def source_of(function: Any) -> str:
    """A function or class, and where it is written: "hl_gauss at /home/me/my_algorithm.py:33"."""
    function = _inner(function)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        return f"{name} at {inspect.getsourcefile(function)}:{inspect.getsourcelines(function)[1]}"
    except (TypeError, OSError):  # it isn't written in Python, or its file is gone
        return name


def own_among(*functions: Any) -> str:
    """The sources of those that are the user's own; empty if none is."""
    return " and ".join(source_of(each) for each in functions if each is not None and is_own(each))


def require_name(name: Any, where: str) -> None:
    """Raises OwnCodeError unless a configuration can name it: text without "/" and ":"; `where` registers it."""
    if not isinstance(name, str):
        raise OwnCodeError(f"{where}: the name is {of_type(name)}; expected text")
    if not name or "/" in name or ":" in name:
        raise OwnCodeError(f'{where}: the name is "{name}"; expected text without "/" and ":"')


def require_function(function: Any, where: str, *parameters: str) -> None:
    """Raises OwnCodeError unless `function` can be called with these arguments by position; `where` names it."""
    due = f"({', '.join(parameters)})"
    if not callable(function):
        raise OwnCodeError(f"{where} = {function!r}; expected a function of {due}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # it isn't written in Python
        return
    try:
        signature.bind(*parameters)
    except TypeError:
        names = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
        taken = signature.replace(parameters=names, return_annotation=signature.empty)
        raise OwnCodeError(f"{where} = {source_of(function)} takes {taken}; expected {due}") from None


def require_instance(value: Any, due: type, where: str) -> None:
    """Raises OwnCodeError unless what is registered is of the type `due`; `where` names it."""
    if not isinstance(value, due):
        found = source_of(value) if callable(value) else repr(value)
        raise OwnCodeError(f"{where} = {found}; expected a {due.__name__}")


def mistaken_tag(kind: str, by_kind: Mapping[str, type[Struct]]) -> str:
    """Says which class has the tag "name" instead of `kind`, "my_module:name"; "" if none of that module has."""
    module, _, name = kind.rpartition(":")
    for tag, struct in by_kind.items():
        if struct.__module__ == module and is_own(struct) and tag != kind and tag.rpartition(":")[2] == name:
            return f'the class {struct.__name__} of {module} has the tag "{tag}"; it must be tag="{kind}"'
    return ""


def without_tag(struct: type[Struct]) -> str:
    """Says what to write if the user's class has no tag of its own, by which a configuration names it; "" if it has."""
    if has_own_tag(struct):
        return ""
    name, module = struct.__name__, struct.__module__
    return f'the class {name} of {module} has no tag of its own; write tag_field="kind", tag="{module}:{name.lower()}"'


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


def mistaken_keys(struct: type[Struct], given: Collection[str]) -> dict[str, str]:
    """What is wrong with keys of the user's class, by key: it has no meaning, or neither a default nor a value."""
    problems: dict[str, str] = {}
    for field in structs.fields(struct) if is_own(struct) else ():
        if not doc_of(field.type):
            words = f'write {field.name}: Annotated[its type, doc("what it means")]'
            problems[field.name] = (
                f": the class {struct.__name__} of {struct.__module__} doesn't say its meaning; {words}"
            )
        elif field.required and field.name not in given:
            problems[field.name] = f" must be given: {struct.__name__} of {struct.__module__} has no default for it"
    return problems


def _inner(function: Any) -> Any:
    """The function inside of `functools.partial` and of decorators."""
    while isinstance(function, partial):
        function = function.func
    return inspect.unwrap(function) if callable(function) else function
