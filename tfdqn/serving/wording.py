"""What is wrong with a request's JSON, in one wording for all paths: "x[3]: needs a number, has text".

`in_words` says it of JSON that is not what was asked for, `malformed` of text that is no JSON.
"""

import re
from typing import Any

import msgspec
from msgspec import Raw

_LENGTH = re.compile(r"Expected `array` of length [<>]= (\d+)")
_LIMIT = re.compile(r"Expected `int` ([<>])= (-?\d+)")
_KIND = re.compile(r"Expected `([^`]+)`, got `(\w+)`")
_BYTE = re.compile(r"\(byte (\d+)\)")
_NOT_FINITE = re.compile(rb"(?<![\w\"])[+-]?(?:nan|infinity|inf)(?![\w\"])", re.IGNORECASE)
_LONGEST_LITERAL = len("-Infinity")
_LONGEST_SHOWN = 20  # characters of a number
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


def malformed(error: Exception, body: bytes | bytearray) -> str:
    """What is wrong with a body that is no JSON; NaN or Infinity is named, with the number of its first byte."""
    if found := _BYTE.search(str(error)):
        at = int(found[1])  # of the literal, or up to a byte behind it
        for literal in _NOT_FINITE.finditer(body, max(at - _LONGEST_LITERAL - 1, 0), at + _LONGEST_LITERAL):
            if literal.start() <= at <= literal.end() + 1:
                return f"byte {literal.start()}: needs a finite number, has {literal[0].decode()}"
    return f"JSON Parse error: {error}"


def _said(problem: str, text: Any, place: str) -> str:
    """msgspec's "Expected …" as "needs …"; any other problem is returned as it is."""
    if found := _KIND.fullmatch(problem):
        needed, given = _NEEDED.get(found[1], found[1]), _GIVEN.get(found[2], found[2].replace("object", "an object"))
        if (found[1], found[2]) == ("int", "float"):
            given = "one with decimals"
        each_instance = "; each instance is a list of its own" if found[1] == "object | array" else ""
        return f"needs {needed}, has {given}{each_instance}"
    if found := _LIMIT.fullmatch(problem):
        return f"needs a whole number of at {'most' if found[1] == '<' else 'least'} {found[2]}{_has(text, place)}"
    if problem == "Number out of range":
        return f"needs a finite number{_has(text, place)}"
    if (found := _LENGTH.fullmatch(problem)) and (given_list := _list_at(text, place)) is not None:
        needed_count = int(found[1])
        return f"needs {needed_count} {_elements(given_list)}{'s' * (needed_count != 1)}, has {len(given_list)}"
    return problem


def _has(text: Any, place: str) -> str:
    """The end of a message: the number at a place, cut if it is long; "" if it isn't found."""
    if (found := _raw_at(text, place)) is None:
        return ""
    number = bytes(memoryview(found)).decode()
    return f", has {number[:_LONGEST_SHOWN]}{'…' * (len(number) > _LONGEST_SHOWN)}"


def _list_at(text: Any, place: str) -> list[Raw] | None:
    """The list at a place, whose elements are not decoded; None if it isn't found."""
    try:
        return None if (found := _raw_at(text, place)) is None else msgspec.json.decode(found, type=list[Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _raw_at(text: Any, place: str) -> Raw | None:
    """The JSON at a place such as "[2].image[0]", of which no more is decoded; None if it isn't found."""
    try:
        for index, name in re.findall(r"\[(\d+)\]|\.([^.\[]+)", place):
            if index:
                text = msgspec.json.decode(text, type=list[Raw])[int(index)]
            else:
                text = msgspec.json.decode(text, type=dict[str, Raw])[name]
        return msgspec.json.decode(text, type=Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError):
        return None  # of a name with a dot or a bracket


def _elements(given: list[Raw]) -> str:
    """What each of a list is, all of which msgspec found right."""
    begins = bytes(memoryview(given[0])[:1]) if given else b""
    return {b"": "element", b"[": "list", b"t": "boolean", b"f": "boolean"}.get(begins, "number")
