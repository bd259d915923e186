"""`loads_once`: reads JSON in which no object has a key twice; `json.loads` would take the last of them."""

import json
from collections import Counter
from typing import Any

from tfdqn.errors import first_line

# What the parser expected, in words, by its own.
_EXPECTED = {
    "Expecting value": "a value is expected",
    "Expecting property name enclosed in double quotes": "a key in double quotes is expected",
    "Expecting ',' delimiter": "a comma or a closing bracket is expected",
    "Expecting ':' delimiter": "a colon is expected",
    "Extra data": "the text should end",
}


class JsonError(ValueError):
    """A text that is not JSON, or has an object with a key twice; says what is wrong, in one line."""


def loads_once(text: str | bytes | bytearray) -> Any:
    """As `json.loads`; raises JsonError for anything wrong with the text."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except JsonError:
        raise
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise JsonError(f"it is not JSON: {where}: {_EXPECTED.get(error.msg, error.msg)}") from None
    except UnicodeDecodeError:
        raise JsonError("it is not JSON: it is not UTF-8") from None
    except (ValueError, RecursionError) as error:  # numbers that are too long, lists that are too deep
        raise JsonError(f"it is not JSON: {first_line(error)}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise JsonError(f'the key "{twice}" is given twice')
    return found
