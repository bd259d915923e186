"""`loads_once`: reads JSON in which no object has a key twice; `json.loads` would take the last of them."""

import json
from collections import Counter
from typing import Any


class KeyTwiceError(ValueError):
    """An object of a JSON text has a key twice."""

    def __init__(self, key: str):
        super().__init__(f'"{key}" is given twice')


def loads_once(text: str | bytes | bytearray) -> Any:
    """As `json.loads`; raises KeyTwiceError, which is a ValueError, for an object that has a key twice."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise KeyTwiceError(next(name for name, count in counts.items() if count > 1))
    return found
