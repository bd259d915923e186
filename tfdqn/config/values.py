"""Values of keys: what no key may have, what an override's text means, and how a wrong value would be right."""

import datetime
import math
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from tfdqn.config.wording import shown


def override_value(text: str) -> Any:
    """Reads the value of an override: None for "none", a TOML value where `text` is one, otherwise `text` itself.

    A date or a time stays text: no key takes one.
    """
    if text == "none":
        return None
    try:
        document = tomllib.loads(f"value = {text}")
        str(document)
    except (ValueError, RecursionError):  # also for a number of too many digits, if hexadecimal only by `str`
        return text
    is_date = isinstance(document["value"], datetime.date | datetime.time)
    return text if is_date or len(document) > 1 else document["value"]  # a line break could add keys


def meaning_of_none(allowed: inspect.Type) -> Any:
    """The value for None, an override's `none`: "none" if a key has that choice, () if it takes an empty list."""
    if isinstance(allowed, inspect.LiteralType) and "none" in allowed.values:
        return "none"
    if isinstance(allowed, inspect.VarTupleType) and not allowed.min_length:
        return ()
    return None


def unwritable(value: Any, name: str) -> str | None:
    """Says what in `value` no key may have: what TOML can't hold, isn't finite or isn't Unicode; None if nothing."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name} = {shown(value)}: must be a finite number"
    if isinstance(value, str) and not _is_unicode(value):
        return f"{name} = {shown(value)}: must be valid Unicode"
    nested: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        if strange := [key for key in value if not isinstance(key, str) or not _is_unicode(key)]:
            return f"{name} has the key {shown(strange[0])}: keys must be strings"
        nested = [(f"{name}.{key}", each) for key, each in value.items()]
    elif isinstance(value, list | tuple):
        nested = [(f"{name}[{index}]", each) for index, each in enumerate(value)]
    for nested_name, each in nested:
        if isinstance(each, datetime.date | datetime.time):
            return f'{nested_name} = {shown(each)}: a date or a time must be in quotes: "{shown(each)}"'
        if not isinstance(each, bool | int | float | str | list | tuple | Mapping):
            return f"{nested_name} = {shown(each)}: must be a string, a number, true, false, a list or a table"
        if problem := unwritable(each, nested_name):
            return problem
    return None


def as_toml(value: Any) -> Any:
    """`value` as a TOML file would give it back: tuples, which task.kwargs may hold in Python, become lists."""
    if isinstance(value, Mapping):
        return {key: as_toml(each) for key, each in value.items()}
    return [as_toml(each) for each in value] if isinstance(value, list | tuple) else value


def _is_unicode(text: str) -> bool:
    """False for text from a command line with bytes that aren't UTF-8, which Python decodes to surrogates."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def corrected(leaf_type: Any, value: Any) -> str:
    """What to write instead of a value of the wrong type, such as ": write [64, 64]" for 64,64; "" if unknown."""
    return _as_whole(leaf_type, value) or _as_list(leaf_type, value)


def _as_whole(leaf_type: Any, value: Any) -> str:
    """ ": write 100_000" for 1e5, a float in TOML, where that whole number is allowed; else ""."""
    if not isinstance(value, float) or not value.is_integer():
        return ""
    try:
        return f": write {msgspec.convert(int(value), leaf_type):_}"
    except msgspec.ValidationError:
        return ""


def _as_list(leaf_type: Any, value: Any) -> str:
    """Of 64 or "64,64" where a list of such elements is allowed."""
    elements = [override_value(each.strip()) for each in value.split(",")] if isinstance(value, str) else [value]
    try:
        msgspec.convert(elements, leaf_type)
    except msgspec.ValidationError:
        return ""
    return f": write {shown(elements)}"
