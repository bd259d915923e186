"""`trouble`: what is wrong with a text that isn't TOML, in words."""

import re

from tfdqn.config.wording import shown

_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)$")
# Errors of the parser at a value, or behind its beginning if that is a word of TOML's, as of "inf" in infinite.
_AT_VALUE = ("Invalid value", "Expected newline", "Unclosed array", "Unclosed inline table")
_WORD = re.compile(r"""(?:[^\W\d]|[~/]|\.{1,2}/)[^,\]}#"']*""")
_OTHERWISE = {
    "true": "TOML writes it true",
    "false": "TOML writes it false",
    **dict.fromkeys(("none", "null", "nil"), "leave the key out"),
}


def trouble(error: Exception, text: str) -> str:
    """A parser's error in words, with the line of `text` that it points to, if it does, and how to correct that."""
    if str(error).startswith("Exceeds the limit"):  # Python's, of digits
        return "is not valid TOML: a number in it has too many digits"
    if (place := _PLACE.search(str(error))) is None:
        return f"is not valid TOML: {error}"
    line, column = text.split("\n")[int(place[1]) - 1], int(place[2])
    where = f": {shown(line.strip())}"
    if re.match(r"Cannot (overwrite a value|declare .* twice)", str(error)):
        return f"line {place[1]} gives a key or a table for the second time{where}"
    hint = _hint(line, column - 1) if str(error).startswith(_AT_VALUE) else ""
    return f"is not valid TOML: {error}{where}{hint}"


def _hint(line: str, at: int) -> str:
    """How to write the value around the character `at` of a line; "" if it isn't one that begins like text."""
    before = re.sub(r"[^\W\d]+$", "", line[:at])
    word = _WORD.match(line, len(before))
    if word is None or not before.rstrip().endswith(("=", "[", ",")):
        return ""
    value = word[0].strip()
    return f"; {_OTHERWISE.get(value.lower(), f'text needs quotes: {shown(value)}')}"
