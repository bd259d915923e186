"""Whatever is wrong with JSON is said in one wording: its place, what is needed there, and what there is."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from tfdqn.serving.wording import in_words, malformed

PAIR = Annotated[list[float], Meta(min_length=2, max_length=2)]
BYTE = Annotated[int, Meta(ge=0, le=255)]


class Named(msgspec.Struct):
    pair: PAIR


def said(text: bytes, kind: Any, where: str = "x", first_row: int = 0) -> str:
    with pytest.raises(msgspec.DecodeError) as raised:
        msgspec.json.decode(text, type=kind)
    return in_words(raised.value, text, where, first_row)


@pytest.mark.parametrize(
    ("given", "has"),
    [
        (b"true", "a boolean"),
        (b"3", "a number"),
        (b"0.5", "a number"),
        (b'"a"', "text"),
        (b"null", "null"),
        (b"{}", "an object"),
    ],
)
def test_where_a_list_is_due_all_else_is_said_in_one_way(given: bytes, has: str) -> None:
    assert said(given, list[float]) == f"x: needs a list, has {has}"
    assert said(b"[[1], %b]" % given, list[list[float]]) == f"x[1]: needs a list, has {has}"
    if given != b"{}":
        line = f"x[1]: needs a list, has {has}; each instance is a list of its own"
        assert said(b"[[1, 2], %b]" % given, list[PAIR | Named]) == line


@pytest.mark.parametrize(
    ("given", "kind", "line"),
    [
        (b"[true]", list[float], "x[0]: needs a number, has a boolean"),
        (b'["1"]', list[int], "x[0]: needs a whole number, has text"),
        (b"[1.0]", list[int], "x[0]: needs a whole number, has one with decimals"),
        (b"[1]", list[bool], "x[0]: needs true or false, has a number"),
        (b"[[]]", list[float], "x[0]: needs a number, has a list"),
        (b"[256]", list[BYTE], "x[0]: needs a whole number of at most 255, has 256"),
        (b"[-1]", list[BYTE], "x[0]: needs a whole number of at least 0, has -1"),
        (b"[1]", dict[str, float], "x: needs an object, has a list"),
        (b"3", str, "x: needs text, has a number"),
        (b"3", str | None, "x: needs text, has a number"),
        (b"[1]", PAIR, "x: needs 2 numbers, has 1"),
        (b'{"pair": [1, 2, 3]}', Named, "x.pair: needs 2 numbers, has 3"),
    ],
)
def test_what_is_needed_and_what_there_is(given: bytes, kind: Any, line: str) -> None:
    assert said(given, kind) == line


def test_a_place_counts_from_the_first_row_of_a_part() -> None:
    assert said(b"[[1, 2], [3]]", list[PAIR], first_row=100) == "x[101]: needs 2 numbers, has 1"
    assert said(b'[{"pair": [true, 1]}]', list[Named], first_row=7) == "x[7].pair[0]: needs a number, has a boolean"


def test_without_a_name_the_place_is_that_in_the_request() -> None:
    assert said(b'{"pair": 3}', Named, where="") == "pair: needs a list, has a number"
    assert said(b"3", Named, where="") == "needs an object, has a number"


def test_other_problems_are_left_as_they_are() -> None:
    assert said(b"{}", Named) == "x: Object missing required field `pair`"
    assert said(b"[1", list[int]) == "x: Input data was truncated"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'{"instances": [[0, NaN]]}', "byte 19: needs a finite number, has NaN"),
        (b'{"pair": [1, -Infinity]}', "byte 13: needs a finite number, has -Inf"),
        (b"NaN", "byte 0: needs a finite number, has NaN"),
        (b'{"a": [%b inf]}' % (b"1," * 40_000), "byte 80008: needs a finite number, has inf"),
        (b'{"a": [-inf ]}', "byte 7: needs a finite number, has -inf"),
        (b"tru}NaN", "byte 4: needs a finite number, has NaN"),
        (b'{"a": "is nan"x}', "JSON Parse error: JSON is malformed"),
        (b'{"a": info}', "JSON Parse error: JSON is malformed: invalid character (byte 6)"),
        (b'{"a": [1', "JSON Parse error: Input data was truncated"),
    ],
)
def test_nan_and_infinity_are_named_with_their_first_byte(body: bytes, line: str) -> None:
    with pytest.raises(msgspec.DecodeError) as raised:
        msgspec.json.decode(body)
    assert malformed(raised.value, bytearray(body)).startswith(line)
