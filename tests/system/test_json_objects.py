"""JSON in which a key stands twice is refused, however deep; everything else is read as ever."""

import json

import pytest

from tfdqn.system.json_objects import KeyTwiceError, loads_once


def test_what_has_each_key_once_is_read() -> None:
    text = '{"a": [{"b": 1}, {"b": 2}], "b": {"a": null}}'
    assert loads_once(text) == loads_once(text.encode()) == json.loads(text)


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "b": 2}', '[{"c": {"b": 1, "\\u0062": 2}}]'])
def test_a_key_twice_is_refused(text: str) -> None:
    with pytest.raises(KeyTwiceError, match=r'^"b" is given twice$'):
        loads_once(text)
