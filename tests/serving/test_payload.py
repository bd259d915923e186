"""JSON in rows and columns becomes the model's arrays, or is refused in one line: never anything else."""

import json
import re
import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdqn.serving.inputs import Input
from tfdqn.serving.model import Signature
from tfdqn.serving.payload import MOST_ROWS, RequestError, answer, parse


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
    assert rows.write({"y": np.array([1, 2])}) == b'{"predictions":[1,2]}'
    assert other.write({"y": np.array([1, 2])}) == b'{"outputs":[1,2]}'
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
    assert json.loads(answer(outputs, in_rows=False)) == {"outputs": {"action": [1, 0], "q": [[0.5, 1.0], [2.0, 1.5]]}}
    alone = {"action": outputs["action"]}
    assert json.loads(answer(alone, in_rows=True)) == {"predictions": [1, 0]}
    assert json.loads(answer(alone, in_rows=False)) == {"outputs": [1, 0]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "JSON Parse error"),
        (b"{", "JSON Parse error"),
        (b'{"inputs": [[0, NaN]]}', "^byte 16: needs a finite number, has NaN$"),
        (b'{"inputs": [[1e999, 1]]}', r"^observation\[0\]\[0\]: needs a finite number, has 1e999$"),
        (b'{"inputs": ' + b"[" * 100_000, "JSON Parse error"),
        (b"[1]", "needs an object, has a list"),
        (b"{}", "is needed; given: neither"),
        (body({"instances": [[1, 2]], "inputs": [[1, 2]]}), "is needed; given: both"),
        (body({"instances": []}), "empty"),
        (body({"instances": {}}), "^instances: needs a list, has an object$"),
        (body({"instances": [[1, 2], [3]]}), r"^instances\[1\]: needs 2 numbers, has 1$"),
        (body({"instances": [[]]}), r"^instances\[0\]: needs 2 elements, has 0$"),
        (body({"instances": [{"observation": [1]}]}), r"^instances\[0\].observation: needs 2 numbers, has 1$"),
        (body({"instances": [[1, 2]] * 20_000 + [[3]]}), r"^instances\[20000\]: needs 2 numbers, has 1$"),
        (
            body({"instances": [1, 2]}),
            r"^instances\[0\]: needs a list, has a number; each instance is a list of its own",
        ),
        (body({"inputs": [1, 2]}), r"^observation\[0\]: needs a list, has a number$"),
        (body({"instances": [[1, None]]}), r"instances\[0\]\[1\]: needs a number, has null"),
        (body({"instances": [[0.5, True]]}), r"instances\[0\]\[1\]: needs a number, has a boolean"),
        (body({"instances": [{"speed": [1, 2]}]}), "unknown field `speed`.*; the inputs are observation$"),
        (
            body({"instances": [[0, 0], [1e39, 0]]}),
            r"observation\[1\]\[0\]: 1e\+39 does not fit float32, which reaches ±3.4028235e\+38",
        ),
        (body({"instances": [[10**400, 0]]}), r"\[0\]\[0\]: needs a finite number, has 10{19}…$"),
        (body({"inputs": {}}), r"missing required field `observation`, which is float32\[2\] for each row$"),
        (body({"inputs": None}), "observation: needs a list, has null"),
        (body({"inputs": []}), "the batch is empty"),
        (body({"inputs": [[1, 2]], "legal_actions": [[True]]}), "unknown field `legal_actions`"),
        (b'{"inputs": [[1, 2]], "inputs": [[3, 4]]}', 'the key "inputs" is given twice'),
        (b'{"inputs": {"observation": [[1, 2]], "observation": [[3, 4]]}}', '"observation" is given twice'),
        (b'{"inputs": {"observ\\u0061tion": [[1, 2]], "observation": [[3, 4]]}}', '"observation" is given twice'),
        (b'{"inputs": [[1, 2]], "signature_name": "\xff"}', "JSON Parse error: 'utf-8' codec can't decode"),
        (b'{"inputs": {"\xff": [[1, 2]]}}', "inputs: 'utf-8' codec can't decode|JSON Parse error|unknown field"),
        (b'{"inputs": [[1, 2]], "\xff": 1}', "unknown field|JSON Parse error"),
        (b'{"instances": [{"\xff": [1, 2]}]}', "unknown field|'utf-8' codec can't decode"),
        (b'{"instances": [{"observation": [1, 2], "observation": [3, 4]}]}', '"observation" is given twice'),
        (body({"inputs": [[1, 2]], "signature_name": "train"}), '"train" not found'),
        (
            body({"inputs": [[1, 2]], "signature_name": 3}),
            r"^signature_name: needs text, has a number; a request has 'instances'",
        ),
    ],
)
def test_what_is_wrong_is_said(text: bytes, problem: str) -> None:
    with pytest.raises(RequestError, match=problem) as raised:
        parse(text, ONE)
    assert raised.value.status == 400
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("missing", "size"), [("position", "float32[2]"), ("legal_actions", "bool[3]"), ("place", "int64[]")]
)
def test_an_input_that_is_missing_is_said_with_its_size(missing: str, size: str) -> None:
    row = {name: value for name, value in ROW.items() if name != missing}
    line = f"instances[1]: Object missing required field `{missing}`, which is {size} for each row"
    with pytest.raises(RequestError, match=f"^{re.escape(line)}$"):
        parse(body({"instances": [ROW, row]}), MANY)


@pytest.mark.parametrize("row", [[1, 2], 3, "a"])
def test_the_inputs_are_named_that_an_object_in_place_of_something_else_has(row: Any) -> None:
    names = "position, picture, legal_actions, place"
    with pytest.raises(RequestError, match=rf"^instances\[1\]: needs an object, has .*; the inputs are {names}$"):
        parse(body({"instances": [ROW, row]}), MANY)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"picture": [0, 256]}, r"instances\[0\].picture\[1\]: needs a whole number of at most 255"),
        ({"picture": [0.5, 0]}, "picture.*needs a whole number, has one with decimals"),
        ({"legal_actions": [1, 0, 1]}, "legal_actions.*needs true or false, has a number"),
        ({"place": True}, "place: needs a whole number, has a boolean"),
        ({"place": 2**63}, "place: needs a whole number of at most 9223372036854775807"),
        ({"place": 2**70}, "place: needs a whole number of at most 9223372036854775807"),
        ({"other": 1}, "unknown field `other`"),
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


@pytest.mark.timeout(30)  # it takes minutes where each blank begins a search of those after it
@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_blanks_are_read_once(key: str) -> None:
    assert parse(b'{"%b": [1, 2%b]}' % (key.encode(), b" " * 2**20), model(place=NUMBER)).rows == 2


@pytest.mark.parametrize("begin", [b"[{", b"[\n {"])
def test_named_rows_are_read_some_at_a_time_wherever_the_first_begins(begin: bytes) -> None:
    text = json.dumps({"instances": [{"picture": np.full((3, 5, 2), 200).tolist()}] * 8000}).encode()
    tracemalloc.start()
    try:
        assert parse(text.replace(b"[{", begin, 1), PICTURES).rows == 8000
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * len(text)


PICTURES = model(picture=Input(np.dtype("uint8"), (None, 3, 5, 2)))


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("form", ["instances", "named instances", "inputs", "named inputs"])
def test_what_is_read_some_rows_at_a_time_is_whole(form: str, indent: int | None) -> None:
    given = np.random.default_rng(0).integers(0, 256, (2000, 3, 5, 2)).astype(np.uint8)
    rows = given.tolist()
    bad = [*rows[:-1], [*rows[-1][:-1], [*rows[-1][-1][:-1], [0, 256]]]]

    def text(rows: list[Any]) -> bytes:
        named = [{"picture": row} for row in rows] if form == "named instances" else rows
        value = {"picture": named} if form == "named inputs" else named
        return json.dumps({form.split()[-1]: value}, indent=indent).encode()

    np.testing.assert_array_equal(parse(text(rows), PICTURES).inputs["picture"], given)
    with pytest.raises(RequestError, match=r"\[1999\](.picture)?\[2\]\[4\]\[1\]: needs a whole number of at most 255"):
        parse(text(bad), PICTURES)


def test_large_answers_are_written_as_small_ones() -> None:
    outputs = {"action": np.arange(3000, dtype=np.int32), "q": np.random.default_rng(0).normal(size=(3000, 2))}
    rows = [{"action": action, "q": q} for action, q in enumerate(outputs["q"].tolist())]
    assert json.loads(answer(outputs, in_rows=True)) == {"predictions": rows}
    columns = {name: array.tolist() for name, array in outputs.items()}
    assert json.loads(answer(outputs, in_rows=False)) == {"outputs": columns}
    assert json.loads(answer({"q": outputs["q"]}, in_rows=True)) == {"predictions": columns["q"]}


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(b"0," * 10**6 + b"0", id="a million"),
        pytest.param(b"0," * MOST_ROWS + b"0", id="one too many"),
        pytest.param(b"[]," * 10**6 + b"[]", id="empty arrays"),
    ],
)
def test_a_request_has_a_limit_of_rows(rows: bytes) -> None:
    for text in (b'{"instances": [%b]}' % rows, b'{"inputs": [%b]}' % rows):
        tracemalloc.start()
        try:
            with pytest.raises(RequestError, match="16,384") as raised:
                parse(text, model(place=NUMBER))
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert raised.value.status == 413
        assert peak_bytes < 4 * 2**20
    assert parse(b'{"instances": [%b0]}' % (b"0," * (MOST_ROWS - 1)), model(place=NUMBER)).rows == MOST_ROWS


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
KEYS = ["instances", "inputs", "signature_name", "position", "picture", "legal_actions", "place", "x"]


@settings(max_examples=300)
@given(
    st.binary(max_size=40)
    | ANYTHING.map(body)
    | st.dictionaries(st.sampled_from(KEYS), ANYTHING | st.dictionaries(st.sampled_from(KEYS), ANYTHING)).map(body)
)
def test_whatever_comes_is_refused_or_fits(text: bytes) -> None:
    for each in (ONE, MANY):
        try:
            request = parse(text, each)
        except RequestError:
            continue
        for name, expected in request.signature.inputs.items():
            array = request.inputs[name]
            assert array.dtype == expected.dtype and array.shape[1:] == (expected.shape or ())[1:]
            assert len(array) > 0 and np.isfinite(array).all()
