"""`in_words`: what is wrong with a request's JSON, in one wording for all paths: "x[3]: needs a number, has text"."""

import re
from typing import Any

import msgspec
from msgspec import Raw

_LENGTH = re.compile(r"Expected `array` of length [<>]= (\d+)")
_LIMIT = re.compile(r"Expected `int` ([<>])= (-?\d+)")
_KIND = re.compile(r"Expected `([^`]+)`, got `(\w+)`")
_NEEDED = {
    "array": "a list",
    "object | array": "a list",
    "object": "an object",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "text",
    "str | null": "text",
}
_GIVEN = {"int": "a number", "float": "a number", "str": "text", "bool": "a boolean", "array": "a list"}


def in_words(error: Exception, text: Any, where: str = "", first_row: int = 0) -> str:
    """What a decoding error of msgspec says, after its place.

    Args:
      error: msgspec's, or of text that is not UTF-8.
      text: the JSON that was decoded.
      where: what it is called, to which a place inside is appended.
      first_row: the number that its first row has, where it is a part of a longer list.
    """
    problem, _, place = str(error).partition(" - at `$")
    place = place.rstrip("`")
    said = _said(problem, text, place)
    place = re.sub(r"^\[(\d+)\]", lambda found: f"[{int(found[1]) + first_row}]", place)
    at = f"{where}{place}" if where else place.removeprefix(".")
    return f"{at}: {said}" if at else said


def _said(problem: str, text: Any, place: str) -> str:
    """msgspec's "Expected …" as "needs …"; any other problem is returned as it is."""
    if found := _KIND.fullmatch(problem):
        needed, given = _NEEDED.get(found[1], found[1]), _GIVEN.get(found[2], found[2].replace("object", "an object"))
        if (found[1], found[2]) == ("int", "float"):
            given = "one with decimals"
        each_instance = "; each instance is a list of its own" if found[1] == "object | array" else ""
        return f"needs {needed}, has {given}{each_instance}"
    if found := _LIMIT.fullmatch(problem):
        return f"needs a whole number of at {'most' if found[1] == '<' else 'least'} {found[2]}"
    if (found := _LENGTH.fullmatch(problem)) and (given_list := _list_at(text, place)) is not None:
        needed_count = int(found[1])
        return f"needs {needed_count} {_elements(given_list)}{'s' * (needed_count != 1)}, has {len(given_list)}"
    return problem


def _list_at(text: Any, place: str) -> list[Raw] | None:
    """The list at a place such as "[2].image[0]", of which no more is decoded; None if it isn't found."""
    try:
        for index, name in re.findall(r"\[(\d+)\]|\.([^.\[]+)", place):
            if index:
                text = msgspec.json.decode(text, type=list[Raw])[int(index)]
            else:
                text = msgspec.json.decode(text, type=dict[str, Raw])[name]
        return msgspec.json.decode(text, type=list[Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError):
        return None  # of a name with a dot or a bracket


def _elements(given: list[Raw]) -> str:
    """What each of a list is, all of which msgspec found right."""
    begins = bytes(memoryview(given[0])[:1]) if given else b""
    return {b"": "element", b"[": "list", b"t": "boolean", b"f": "boolean"}.get(begins, "number")
