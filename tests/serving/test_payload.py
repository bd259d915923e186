"""JSON in rows and columns becomes the model's arrays, or is refused in one line: never anything else."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdqn.serving.model import Input, Signature
from tfdqn.serving.payload import RequestError, answer, parse


def model(**inputs: Input) -> Any:
    signature = Signature(lambda arrays: arrays, inputs, is_batched=True)
    return SimpleNamespace(signatures={"serving_default": signature})


FLOATS = Input(np.dtype("float32"), (None, 2))
PIXELS = Input(np.dtype("uint8"), (None, 2))
LEGAL = Input(np.dtype(bool), (None, 3))
NUMBER = Input(np.dtype("int64"), (None,))
ONE = model(observation=FLOATS)
MANY = model(position=FLOATS, picture=PIXELS, legal_actions=LEGAL, place=NUMBER)
ROW = {"position": [0.5, 1], "picture": [0, 255], "legal_actions": [True, False, True], "place": 7}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_rows_and_columns_are_the_same_arrays() -> None:
    columns = {name: [value, value] for name, value in ROW.items()}
    rows = parse(body({"instances": [ROW, ROW], "signature_name": "serving_default"}), MANY)
    other = parse(body({"inputs": columns}), MANY)
    assert rows.in_rows and not other.in_rows
    for name, value in columns.items():
        assert rows.inputs[name].dtype == MANY.signatures["serving_default"].inputs[name].dtype
        np.testing.assert_array_equal(rows.inputs[name], value)
        np.testing.assert_array_equal(other.inputs[name], value)


def test_an_only_input_goes_with_or_without_its_name() -> None:
    for given_ in (
        {"instances": [[1, 2], [3, 4]]},
        {"instances": [{"observation": [1, 2]}, {"observation": [3, 4]}]},
        {"inputs": [[1, 2], [3, 4]]},
        {"inputs": {"observation": [[1, 2], [3, 4]]}},
    ):
        np.testing.assert_array_equal(parse(body(given_), ONE).inputs["observation"], [[1, 2], [3, 4]])


def test_answers_have_names_where_there_are_several_outputs() -> None:
    outputs = {"action": np.array([1, 0], np.int32), "q": np.array([[0.5, 1.0], [2.0, 1.5]], np.float32)}
    assert json.loads(answer(outputs, in_rows=True)) == {
        "predictions": [{"action": 1, "q": [0.5, 1.0]}, {"action": 0, "q": [2.0, 1.5]}]
    }
    assert json.loads(answer(outputs, in_rows=False)) == {
        "outputs": {"action": [1, 0], "q": [[0.5, 1.0], [2.0, 1.5]]}
    }
    alone = {"action": outputs["action"]}
    assert json.loads(answer(alone, in_rows=True)) == {"predictions": [1, 0]}
    assert json.loads(answer(alone, in_rows=False)) == {"outputs": [1, 0]}
    assert answer({"q": np.array([np.nan])}, in_rows=False) == b'{"outputs": [NaN]}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "JSON Parse error"),
        (b"{", "JSON Parse error"),
        (b"\xff\xfe", "JSON Parse error"),
        (b'{"inputs": [[NaN, 1]]}', "JSON Parse error"),
        (b'{"inputs": [[1e999, 1]]}', "finite|JSON Parse error"),
        (b"[" * 100_000, "JSON Parse error"),
        (b"[1]", "not an object"),
        (b"{}", "is needed; given: neither"),
        (body({"instances": [[1, 2]], "inputs": [[1, 2]]}), "is needed; given: both"),
        (body({"instances": []}), "empty"),
        (body({"instances": {}}), "not an array"),
        (body({"instances": [[1, 2], [3]]}), "one shape"),
        (body({"instances": [[1, 2, 3]]}), r"shape \[1, 3\] given, \[any, 2\] needed"),
        (body({"instances": [1, 2]}), "shape"),
        (body({"instances": [[1, None]]}), "a mixture does not fit float32"),
        (body({"instances": [["1", "2"]]}), "text does not fit"),
        (body({"instances": [[True, False]]}), "true and false does not fit"),
        (body({"instances": [{"speed": [1, 2]}]}), "has speed; needed: observation"),
        (body({"instances": [[1e39, 0]]}), "not finite"),
        (body({"instances": [[10**400, 0]]}), "finite|does not fit|JSON Parse error"),
        (body({"inputs": {}}), "has nothing"),
        (body({"inputs": None}), "mixture|shape"),
        (body({"inputs": []}), "shape"),
        (body({"inputs": [[1, 2]], "signature_name": "train"}), '"train" not found'),
        (body({"inputs": [[1, 2]], "signature_name": 3}), "not a string"),
    ],
)
def test_what_is_wrong_is_said(text: bytes, problem: str) -> None:
    with pytest.raises(RequestError, match=problem) as raised:
        parse(text, ONE)
    assert raised.value.status == 400
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"picture": [0, 256]}, "picture: int64 does not fit uint8"),
        ({"picture": [-1, 0]}, "picture: int64 does not fit uint8"),
        ({"picture": [0.5, 0]}, "picture: real numbers does not fit uint8"),
        ({"legal_actions": [1, 0, 1]}, "legal_actions: int64 does not fit bool"),
        ({"place": 2**63}, "place: uint64 does not fit int64"),
        ({"place": 2**70}, "place|JSON"),
        ({"other": 1}, "needed: legal_actions, picture, place, position"),
    ],
)
def test_an_input_of_the_wrong_kind_is_named(changes: dict, problem: str) -> None:
    with pytest.raises(RequestError, match=problem):
        parse(body({"instances": [ROW | changes]}), MANY)


def test_one_batch_size_is_needed() -> None:
    columns = {name: [value] for name, value in ROW.items()} | {"place": [1, 2]}
    with pytest.raises(RequestError, match="one batch size"):
        parse(body({"inputs": columns}), MANY)


def test_a_column_of_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="the batch is empty"):
        parse(body({"inputs": []}), model(place=NUMBER))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
KEYS = ["instances", "inputs", "signature_name", "position", "picture", "legal_actions", "place", "x"]


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=40)
    | ANYTHING.map(body)
    | st.dictionaries(st.sampled_from(KEYS), ANYTHING | st.dictionaries(st.sampled_from(KEYS), ANYTHING)).map(
        body
    )
)
def test_whatever_comes_is_refused_or_fits(text: bytes) -> None:
    for each in (ONE, MANY):
        try:
            question = parse(text, each)
        except RequestError:
            continue
        for name, expected in question.signature.inputs.items():
            array = question.inputs[name]
            assert array.dtype == expected.dtype and array.shape[1:] == (expected.shape or ())[1:]
            assert len(array) > 0 and np.isfinite(array).all()
