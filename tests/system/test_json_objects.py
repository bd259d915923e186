"""JSON in which a key stands twice is refused, however deep; everything else is read as ever."""

import json

import pytest

from tfdqn.system.json_objects import JsonError, loads_once


def test_what_has_each_key_once_is_read() -> None:
    text = '{"a": [{"b": 1}, {"b": 2}], "b": {"a": null}}'
    assert loads_once(text) == loads_once(text.encode()) == json.loads(text)


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "b": 2}', '[{"c": {"b": 1, "\\u0062": 2}}]'])
def test_a_key_twice_is_refused(text: str) -> None:
    with pytest.raises(JsonError, match=r'^the key "b" is given twice$'):
        loads_once(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"learner": "a:1",\n "actor": 1,}', "line 2, column 13: a key in double quotes is expected"),
        ('{"learner": "a:1"\n "actor": 1}', "line 2, column 2: a comma or a closing bracket is expected"),
        ('{"learner" "a:1"}', "line 1, column 12: a colon is expected"),
        ("", "line 1, column 1: a value is expected"),
        ('{"learner": NaN} }', "line 1, column 18: the text should end"),
        (b"\xff", "it is not UTF-8"),
    ],
)
def test_what_is_no_json_is_said_with_its_place(text: str | bytes, said: str) -> None:
    with pytest.raises(JsonError, match=f"^it is not JSON: {said}$"):
        loads_once(text)
