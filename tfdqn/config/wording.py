"""How messages write values, keys and what is allowed."""

import datetime
import difflib
import re
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from msgspec import inspect

from tfdqn.errors import shortened

# The largest count that is exact in a double. A message mentions this bound only for a value above it.
LARGEST_COUNT = 2**53
_NEARLY_EQUAL = 0.92  # a ratio of difflib; that of a name of six letters with one added is above it
MOST_MEANT = 3  # suggestions in one message


def shown(value: Any) -> str:
    """A value as messages show it: roughly as TOML writes it, and cut off after 60 characters."""
    if value is None:
        return "none"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, str):
        text = '"' + repr(value)[1:-1].replace('"', '\\"') + '"'
    return shortened(text, 60)


def in_one_line(text: str) -> str:
    """`text` on one line: a key or a path may hold line breaks and control characters of its own."""
    line = " ".join(text.split())
    return "".join(each if each.isprintable() else "?" for each in line)


def either(values: Sequence[object]) -> str:
    """Alternatives in words, such as '"a", "b" or "c"'."""
    *others, last = map(shown, values)
    return f"{', '.join(others)} or {last}" if others else last


def did_you_mean(word: str, candidates: Iterable[str], section: str = "") -> str:
    """What may have been meant by a word, as in ' (did you mean "dqn"?)'; "" if nothing.

    `section` is put in front of it, such as "agent.".
    """
    near = nearest(word, candidates)
    return f" (did you mean {either([f'{section}{each}' for each in near])}?)" if near else ""


def nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """The candidates that may have been meant by a word, the likeliest first. Case doesn't matter.

    It is the candidate that is spelt so. Else it is the one that differs by a letter or so, those that have the word
    among theirs, as "hidden_units" has "units", and those that it abbreviates, as "ddqn" does "double_dqn": at most the
    three most like it. Else it is the one most like it.
    """
    among, word = {each.lower(): each for each in candidates}, word.lower()
    like = difflib.get_close_matches
    having = [
        each
        for each in among
        if f"_{word}_" in f"_{each}_" or word == _abbreviated(each) or like(word, [each], cutoff=_NEARLY_EQUAL)
    ]
    near = [word] if word in among else like(word, having, n=MOST_MEANT, cutoff=0) or like(word, among, n=1)
    return [among[each] for each in near]


def _abbreviated(name: str) -> str:
    """A name with all words but the last cut down to their initials: "ddqn" of "double_dqn"."""
    *others, last = name.split("_")
    return "".join(each[:1] for each in others) + last


def with_values(config: Any, line: str) -> str:
    """`line`, with each key in angle brackets, <stop.env_steps>, replaced by "stop.env_steps = 500000"."""
    return re.sub(r"<([\w.]+)>", lambda key: f"{key[1]} = {_value(attrgetter(key[1])(config))}", line)


def keys_in(line: str) -> list[str]:
    """The dotted keys that a line names, each once: "stop.env_steps = 5 with agent.n_step = 3" names two."""
    return list(dict.fromkeys(re.findall(r"\b[a-z]+\.[a-z][a-z0-9_]*\b", line)))


def described(allowed: inspect.Type, value: Any = None) -> str:
    """What a type allows, in words that follow "must be"; `value` is the one that it doesn't allow."""
    match allowed:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            is_too_large = isinstance(value, int) and value > LARGEST_COUNT
            return "a whole number" + _bounds(allowed, is_too_large)
        case inspect.FloatType():
            return "a number" + _bounds(allowed)
        case inspect.StrType():
            return "text in quotes" + (", not empty" if allowed.min_length else "")
        case inspect.VarTupleType():
            return f"a list, each element of which is {described(allowed.item_type)}"
        case inspect.DictType():
            return "a table"
        case inspect.UnionType():
            present = [each for each in allowed.types if not isinstance(each, inspect.NoneType)]
            may_be_left_out = len(present) < len(allowed.types)
            return " or ".join(map(described, present)) + (", or be left out" if may_be_left_out else "")
    raise NotImplementedError(f"the configuration uses {allowed}, which wording.py can't describe")


def _bounds(number: inspect.IntType | inspect.FloatType, is_too_large: bool = False) -> str:
    """The bounds of a number, such as " from 1 to 16"; `is_too_large`: the value is above the largest count."""
    if number.ge is not None and number.le is not None and (number.le != LARGEST_COUNT or is_too_large):
        return f" from {_figure(number.ge)} to {_figure(number.le)}"
    bounds = {"at least": number.ge, "above": number.gt, "below": number.lt, "at most": number.le}
    stated = [f"{word} {_figure(each)}" for word, each in bounds.items() if each not in (None, LARGEST_COUNT)]
    return " " + " and ".join(stated) if stated else ""


def _figure(bound: float | None) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return str(list(value))
    return f"{value:g}" if isinstance(value, float) else shown(value)
