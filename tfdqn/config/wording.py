"""How messages write values and keys."""

import datetime
import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Any


def shown(value: Any) -> str:
    """A value as messages show it: roughly as TOML writes it, and cut off after 60 characters."""
    if value is None:
        return "none"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, str):
        text = '"' + repr(value)[1:-1].replace('"', '\\"') + '"'
    return text if len(text) <= 60 else text[:57] + "..."


def either(values: Sequence[object]) -> str:
    """Alternatives in words, such as '"a", "b" or "c"'."""
    *others, last = map(shown, values)
    return f"{', '.join(others)} or {last}" if others else last


def with_values(config: Any, line: str) -> str:
    """`line`, with each key in angle brackets, <stop.env_steps>, replaced by "stop.env_steps = 500000"."""
    return re.sub(r"<([\w.]+)>", lambda key: f"{key[1]} = {_value(attrgetter(key[1])(config))}", line)


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return str(list(value))
    return f"{value:g}" if isinstance(value, float) else shown(value)
