"""The Open Inference Protocol's JSON becomes the model's arrays, or is refused in one line."""

import json
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.policies import DISCRETE, network_of, task
from tfdqn.exporting.saved_model import export_policy
from tfdqn.serving import payload
from tfdqn.serving.inputs import Input
from tfdqn.serving.model import Model, Signature
from tfdqn.serving.open_inference import parse
from tfdqn.serving.payload import MOST_ROWS, RequestError

INPUTS = {
    "position": Input(np.dtype("float32"), (None, 2)),
    "picture": Input(np.dtype("uint8"), (None, 2, 1)),
    "legal_actions": Input(np.dtype(bool), (None, 3)),
    "place": Input(np.dtype("int64"), (None,)),
    "open": Input(np.dtype("float16"), (None, None)),
}
OUTPUTS = {"action": Input(np.dtype("int32"), (None,)), "q": Input(np.dtype("float32"), (None, 2))}
FOUND = {"action": np.array([1, 0], np.int32), "q": np.array([[0.5, 1.0], [2.0, 1.5]], np.float32)}


def model(inputs: dict[str, Input] = INPUTS, *, is_batched: bool = True) -> Any:
    signature = Signature(lambda arrays: arrays, inputs, is_batched, outputs=OUTPUTS)
    return SimpleNamespace(version=7, signatures={"serving_default": signature}, policy_inputs=None)


MANY = model()
ONE = model({"x": Input(np.dtype("float32"), (None, 2))})
NAMES = {"position": "FP32", "picture": "UINT8", "legal_actions": "BOOL", "place": "INT64", "open": "FP16"}


def columns(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "position": rng.normal(size=(rows, 2)).astype(np.float32),
        "picture": rng.integers(0, 256, (rows, 2, 1)).astype(np.uint8),
        "legal_actions": rng.random((rows, 3)) < 0.5,
        "place": rng.integers(-(2**63), 2**63 - 1, rows),
        "open": rng.normal(size=(rows, 3)).astype(np.float16),
    }


def tensor(name: str, array: np.ndarray, *, nested: bool = False) -> dict[str, Any]:
    data = array.tolist() if nested else array.ravel().tolist()
    return {"name": name, "shape": list(array.shape), "datatype": NAMES.get(name, "FP32"), "data": data}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def one(data: Any = (1, 2, 3, 4), **changes: Any) -> dict[str, Any]:
    """A request of `ONE`, one thing of whose tensor may be another."""
    return {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": data} | changes]}


def written(body_: bytes, found: Any = FOUND, of: Any = ONE) -> Any:
    return json.loads(parse(body_, of, "m").write(found))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32), st.booleans(), st.randoms())
def test_inputs_are_those_of_the_rest_interface(rows: int, seed: int, nested: bool, order: Any) -> None:
    given_ = columns(rows, seed)
    tensors = [tensor(name, array, nested=nested) for name, array in given_.items()]
    order.shuffle(tensors)
    found = parse(body({"inputs": tensors}), MANY, "m")
    same = payload.parse(body({"inputs": {name: array.tolist() for name, array in given_.items()}}), MANY)
    for name, array in given_.items():
        for inputs in (found.inputs, same.inputs):
            assert inputs[name].dtype == array.dtype
            np.testing.assert_array_equal(inputs[name], array)


@pytest.mark.parametrize("nested", [False, True])
def test_what_is_read_some_numbers_at_a_time_is_whole(nested: bool) -> None:
    array = np.random.default_rng(0).normal(size=(MOST_ROWS, 2)).astype(np.float32)
    request = {"inputs": [tensor("x", array, nested=nested)]}
    np.testing.assert_array_equal(parse(body(request), ONE, "m").inputs["x"], array)
    (request["inputs"][0]["data"][-1] if nested else request["inputs"][0]["data"])[-1] = "1"
    place = rf"x\[{MOST_ROWS - 1}\]\[1\]" if nested else rf"x\[{2 * MOST_ROWS - 1}\]"
    with pytest.raises(RequestError, match=place + ": needs a number, has text"):
        parse(body(request), ONE, "m")


def test_an_answer_names_the_model_and_has_what_was_asked_for() -> None:
    action = {"name": "action", "datatype": "INT32", "shape": [2], "data": [1, 0]}
    q = {"name": "q", "datatype": "FP32", "shape": [2, 2], "data": [0.5, 1.0, 2.0, 1.5]}
    head = {"model_name": "m", "model_version": "7"}
    assert written(body(one())) == head | {"outputs": [action, q]}
    assert written(body(one() | {"id": None, "outputs": []})) == head | {"outputs": [action, q]}
    some = one() | {"id": "4\n2", "outputs": [{"name": "q"}], "parameters": {"a": 1}}
    assert written(body(some)) == head | {"id": "4\n2", "outputs": [q]}
    other = one() | {"outputs": [{"name": "q", "parameters": {"b": "c"}}, {"name": "action"}]}
    assert written(body(other)) == head | {"outputs": [q, action]}


def test_large_answers_are_written_as_small_ones() -> None:
    q = np.random.default_rng(0).normal(size=(3000, 2))
    (found,) = written(body(one() | {"outputs": [{"name": "q"}]}), {"q": q})["outputs"]
    assert found == {"name": "q", "datatype": "FP64", "shape": [3000, 2], "data": q.ravel().tolist()}


def test_without_a_batch_axis_a_shape_is_whole() -> None:
    for shape, data in (((2,), [1, 2]), ((), [3])):
        alone = model({"x": Input(np.dtype("float32"), shape)}, is_batched=False)
        found = parse(body(one(data, shape=list(shape))), alone, "m").inputs["x"]
        assert found.shape == shape and found.ravel().tolist() == data


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "JSON Parse error"),
        (b"{", "JSON Parse error"),
        (b'{"inputs": ' + b"[" * 100_000, "not an inference request"),
        (b"[1]", "not an inference request: needs an object, has a list"),
        (b"{}", "missing required field `inputs`"),
        (body({"instances": [[1, 2]]}), "unknown field `instances`"),
        (body({"inputs": []}), "inputs: expected each of x, once; got nothing"),
        (body({"inputs": one()["inputs"] * 2}), "inputs: expected each of x, once; got x, x"),
        (body(one(name="y" * 99)), f"inputs: expected each of x, once; got {'y' * 50}$"),
        (body(one() | {"outputs": [{"name": "x"}]}), "outputs: expected any of action, q, once; got x"),
        (body(one() | {"outputs": [{"name": "q"}] * 2}), "outputs: expected any of action, q, once; got q, q"),
        (body(one(datatype="FP64")), "x: datatype FP64; expected FP32"),
        (body(one(shape=[4])), r"x: shape \[4\]; expected \[N, 2\] for N rows"),
        (body(one(shape=[1, 4])), r"x: shape \[1, 4\]; expected \[N, 2\] for N rows"),
        (body(one(shape=[-1, 2])), r"x, shape\[0\]: needs a whole number of at least 0"),
        (body(one(shape=[2.0, 2])), r"x, shape\[0\]: needs a whole number, has one with decimals"),
        (body(one(shape={})), "x, shape: needs a list, has an object"),
        (body(one(shape=[3, 2])), r"x: data has shape \[4\]; its 'shape' is \[3, 2\]"),
        (body(one([[1, 2]])), r"x: data has shape \[1, 2\]; its 'shape' is \[2, 2\]"),
        (body(one([[1, 2], [3]])), r"x\[1\]: needs 2 numbers, has 1"),
        (body(one([1, 2, 3, True])), r"x\[3\]: needs a number, has a boolean"),
        (body(one("1234")), "x: needs a list, has text"),
        (body(one([1, 2, 3, 1e39])), r"x\[1\]\[1\]: 1e\+39 does not fit float32, which reaches ±3.4028235e\+38"),
        (
            b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [NaN, 1]}]}',
            "byte 72: needs a finite number, has NaN",
        ),
        (body(one([], shape=[0, 2])), "the batch is empty"),
        (body(one(other=1)), "unknown field `other`"),
        (body(one(parameters=[])), "needs an object, has a list"),
        (body(one() | {"id": 3}), "needs text, has a number"),
        (body(one())[:-1] + b', "inputs": []}', "expected each of x, once"),
        (body(one())[:-1] + b', "inputs": ' + body(one()["inputs"]) + b"}", 'the key "inputs" is given twice'),
        (body(one()).replace(b'"data"', b'"data": [5, 6], "data"'), 'the key "data" is given twice'),
        (body(one()).replace(b'"data"', b'"d\\u0061ta": [5, 6], "data"'), 'the key "data" is given twice'),
        (body(one()).replace(b'"name"', b'"name": "y", "name"'), 'the key "name" is given twice'),
    ],
)
def test_what_is_wrong_is_said(text: bytes, problem: str) -> None:
    with pytest.raises(RequestError, match=problem) as raised:
        parse(text, ONE, "m")
    assert raised.value.status == 400
    assert "\n" not in str(raised.value)


def test_what_the_task_cant_give_is_refused_as_in_the_rest_interface(tmp_path: Path) -> None:
    spec = task(masks=True, place=DISCRETE)
    found = Model(export_policy(spec, network_of(spec), tmp_path, {}), 1)
    legal = np.array([[True, False, False], [False, False, True]])
    for places, masks in (
        (np.array([3, 502]), legal),
        (np.array([3, 503]), legal),
        (np.array([3, 4]), legal & legal[0]),
    ):
        tensors = [tensor("place", places), tensor("legal_actions", masks)]
        said = []
        for text, read in (
            ({"inputs": tensors}, lambda text: parse(text, found, "m")),
            (
                {"inputs": {"place": places.tolist(), "legal_actions": masks.tolist()}},
                lambda text: payload.parse(text, found),
            ),
        ):
            try:
                said.append(str(read(body(text)).rows))
            except RequestError as error:
                said.append(str(error))
        assert said[0] == said[1]
        assert said[0] in ("2", "place[1]: 503; the task has 3 to 502", "legal_actions[1]: no action is legal")


PICTURES = model({"x": Input(np.dtype("uint8"), (None, 512, 512))})


@pytest.mark.parametrize(
    ("of", "text", "problem"),
    [
        (ONE, body(one([0] * 2 * (MOST_ROWS + 1), shape=[MOST_ROWS + 1, 2])), "16,385 rows; a request may have 16,384"),
        (ONE, body(one([0] * 10**6)), "more numbers than 16,384 rows have"),
        (PICTURES, b'{"inputs": [' + b",".join([b"{}"] * 10**6) + b"]}", "more than 1,024 objects"),
        (PICTURES, body(one(shape=[0] * 10**6)), "more than 32 KiB beside the inputs' data"),
        (PICTURES, body(one() | {"parameters": {str(index): 0 for index in range(10**5)}}), "more than 32 KiB beside"),
        (PICTURES, body(one() | {"id": "x" * 10**6}), "more than 32 KiB beside"),
    ],
)
def test_a_request_has_limits(of: Any, text: bytes, problem: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match=problem) as raised:
            parse(text, of, "m")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert raised.value.status == 413
    assert peak_bytes < 4 * 2**20


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
SHAPES = st.lists(st.integers(-2, 4), max_size=3) | ANYTHING
TENSORS = st.fixed_dictionaries(
    {"name": st.sampled_from([*INPUTS, "x"]) | ANYTHING, "shape": SHAPES, "data": st.lists(ANYTHING, max_size=4)},
    optional={"datatype": st.sampled_from(sorted({*NAMES.values()})) | ANYTHING, "parameters": ANYTHING},
)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=40)
    | ANYTHING.map(body)
    | st.fixed_dictionaries(
        {"inputs": st.lists(TENSORS, max_size=5)},
        optional={"outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["q", "x"])})), "id": ANYTHING},
    ).map(body)
)
def test_whatever_comes_is_refused_or_fits(text: bytes) -> None:
    for each in (ONE, MANY, model({"open": Input(np.dtype("float32"), (None, None, None))})):
        try:
            request = parse(text, each, "m")
        except RequestError:
            continue
        for name, expected in request.signature.inputs.items():
            array = request.inputs[name]
            assert array.dtype == expected.dtype and array.ndim == len(expected.shape or ())
            assert len(array) > 0 and np.isfinite(array).all()
