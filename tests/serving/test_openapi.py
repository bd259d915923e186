"""The document says just what the server takes: a request is valid by it where `parse` takes it, and nowhere else."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest

from tests.support.serving_in_process import serving
from tfdqn.exporting.policy_inputs import PolicyInputs, check_finite
from tfdqn.serving import open_inference, payload
from tfdqn.serving.access import read_access
from tfdqn.serving.inputs import Input, datatype
from tfdqn.serving.model import Signature
from tfdqn.serving.openapi import document
from tfdqn.serving.options import Options
from tfdqn.serving.payload import RequestError
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

FLOATS, HALVES, BYTES, WHOLE, BITS = (np.dtype(each) for each in ("float32", "float16", "uint8", "int64", "bool"))


def request_schema(model: Any, path: str) -> Any:
    found = document("m", model, [1], {}, has_keys=False)
    return found["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]


def model_of(inputs: dict[str, Input], *, is_batched: bool = True, policy_inputs: PolicyInputs | None = None) -> Any:
    outputs = {"action": Input(WHOLE, (None,)), "q_values": Input(FLOATS, (None, 2))}
    check = check_finite if policy_inputs is None else policy_inputs.check
    signature = Signature(lambda arrays: arrays, inputs, is_batched, check, outputs)
    return SimpleNamespace(version=1, signatures={"serving_default": signature}, policy_inputs=policy_inputs)


def policy() -> Any:
    """One that has a category of 3 to 7, bounded whole numbers, a scalar, and masks."""
    specs = {
        "room": ArraySpec(shape=(), dtype="int64", categories=5, start=3),
        "cards": ArraySpec(shape=(2,), dtype="int32", bounds=((0, 9),)),
        "speed": ArraySpec(shape=(1, 2), dtype="float32"),
    }
    task_spec = TaskSpec(id="x", observation=specs, actions=discrete(3), action_masks=True)
    inputs = {"room": Input(WHOLE, (None,)), "cards": Input(np.dtype("int32"), (None, 2))}
    inputs |= {"speed": Input(FLOATS, (None, 1, 2)), "legal_actions": Input(BITS, (None, 3))}
    return model_of(inputs, policy_inputs=PolicyInputs(task_spec))


MODELS = {
    "one": model_of({"x": Input(FLOATS, (None, 2))}),
    "several": policy(),
    "bytes": model_of({"x": Input(BYTES, (None, 1))}),
    "halves": model_of({"x": Input(HALVES, (None, 1))}),
    "open": model_of({"x": Input(FLOATS, (None, None))}),
    "unbatched": model_of({"x": Input(FLOATS, (2,))}, is_batched=False),
}
# What a schema has no words for: lists that must be as long as others.
UNSAID = ("one batch size for all inputs", "not an array of one shape", "data has shape")
UNSAID_OF_NUMBERS_IN_A_ROW = ("no action is legal",)
ROW = {"room": 3, "cards": [0, 9], "speed": [[0.5, -1]], "legal_actions": [True, False, False]}
NUMBERS = (0, 1, -1, 2, 3, 7, 8, 9, 10, 255, 256, 0.5, 1e39, -1e39, 3.4028235e38, 3.402823567e38, 3.402823568e38)
VALUES = (*NUMBERS, 65504, 65519.9, 65520, 2**63, 1e400, True, False, None, "1", [], {}, [1], [[1]])


def mutated(value: Any, generator: np.random.Generator) -> Any:
    """The same with one thing changed, somewhere in it."""
    if isinstance(value, dict | list) and value and generator.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key, kind = keys[generator.integers(len(keys))], generator.random()
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        if kind < 0.1:
            del copy[key]
        elif kind < 0.2:
            copy = {**copy, "more": 1} if isinstance(copy, dict) else [*copy, copy[key]]
        else:
            copy[key] = mutated(copy[key], generator)
        return copy
    return VALUES[generator.integers(len(VALUES))]


def refusal(body: Any, model: Any, parse: Callable[[bytes, Any], Any]) -> str:
    """Empty where it is taken."""
    try:
        parse(json.dumps(body).replace("Infinity", "1e400").encode(), model)
    except RequestError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", MODELS)
def test_a_request_is_valid_by_it_where_it_is_taken(kind: str) -> None:
    model, generator = MODELS[kind], np.random.default_rng(0)
    rows = [ROW, ROW] if kind == "several" else [[1], [2]] if kind in ("bytes", "halves") else [[1, 2], [0.5, 3]]
    columns = {name: [row[name] for row in rows] for name in ROW} if kind == "several" else {"x": rows}  # type: ignore[call-overload]
    bodies: list[Any] = [{"instances": rows}, {"instances": rows, "signature_name": ""}, {"inputs": columns}]
    bodies += [{"inputs": rows}, {"instances": [{"x": each} for each in rows]}, {"inputs": {"x": [1, 2]}}]
    if kind == "several":
        bodies.append({"instances": [ROW, ROW | {"legal_actions": [False] * 3}]})
    bodies += [mutated(bodies[generator.integers(len(bodies))], generator) for _ in range(1500)]
    assert 20 < _accepted(bodies, model, "/v1/models/m:predict", payload.parse, UNSAID) < 1400


@pytest.mark.parametrize("kind", MODELS)
def test_an_inference_request_is_valid_by_it_where_it_is_taken(kind: str) -> None:
    model, generator = MODELS[kind], np.random.default_rng(0)
    inputs = model.signatures["serving_default"].inputs
    rows = [ROW, ROW] if kind == "several" else [{"x": [1]}, {"x": [2]}] if kind in ("bytes", "halves") else []
    columns = (
        {name: np.array([row[name] for row in rows]) for name in inputs} if rows else {"x": np.array([[1, 2]] * 2)}
    )
    columns = {"x": np.array([1, 2])} if kind == "unbatched" else columns
    asked: dict[str, list[Any]] = {"flat": [], "nested": []}
    for name, array in columns.items():
        head = {"name": name, "shape": list(array.shape), "datatype": datatype(inputs[name].dtype)}
        asked["flat"].append(head | {"data": array.ravel().tolist()})
        asked["nested"].append(head | {"data": array.tolist(), "parameters": {"a": 1}})
    bodies: list[Any] = [{"inputs": each} for each in asked.values()]
    bodies += [{"inputs": each[::-1], "id": "1", "outputs": [{"name": "action"}]} for each in asked.values()]
    bodies += [mutated(bodies[generator.integers(len(bodies))], generator) for _ in range(1500)]
    unsaid = (*UNSAID, *UNSAID_OF_NUMBERS_IN_A_ROW)
    assert 20 < _accepted(bodies, model, "/v2/models/m/infer", partial(open_inference.parse, name="m"), unsaid) < 1400


def _accepted(bodies: list[Any], model: Any, path: str, parse: Any, unsaid: tuple[str, ...]) -> int:
    """How many are taken; each of them must be valid, and none of the others but for what is unsaid."""
    validator = jsonschema.Draft202012Validator(request_schema(model, path))
    refusals = [refusal(body, model, parse) for body in bodies]
    for body, refused in zip(bodies, refusals, strict=True):
        if validator.is_valid(body):
            assert not refused or any(each in refused for each in unsaid), (body, refused)
        else:
            assert refused, body
    return refusals.count("")


def test_the_server_has_it_with_versions_labels_and_keys(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("one")
    (tmp_path / "keys").chmod(0o600)
    options = Options(read_access(tmp_path / "keys", None, None, pytest.fail), labels={"stable": 1})
    with serving(options=options) as server:
        status, found = server.ask("GET", "/openapi.json", headers={"Authorization": "Bearer one"})
    assert status == 200 and found["openapi"] == "3.1.0"
    base = "/v1/models/sum"
    places = [base, base + "/versions/{version}", base + "/labels/{label}"]
    model = "/v2/models/sum"
    inference = [p + e for p in (model, model + "/versions/{version}") for e in ("/ready", "", "/infer")]
    health = ["/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"]
    rest = [p + e for p in places for e in ("", "/metadata", ":predict")]
    assert [*found["paths"]] == [*rest, "/v2", *inference, *health]
    (version,) = found["paths"][places[1]]["get"]["parameters"]
    assert version == {"name": "version", "in": "path", "required": True, "schema": {"enum": ["1"]}}
    assert found["security"] == [{"key": []}] and found["paths"]["/healthz"]["get"]["security"] == []
    assert "security" not in document("m", MODELS["one"], [1], {}, has_keys=False)
