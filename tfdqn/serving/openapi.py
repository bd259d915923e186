"""`document`: the OpenAPI 3.1 document of one model's paths, made from its signature."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdqn.exporting.versions import DEFAULT_SIGNATURE
from tfdqn.serving.inputs import Input, datatype, whole_numbers_of
from tfdqn.serving.model import Model, Signature
from tfdqn.serving.payload import MOST_ROWS
from tfdqn.task_spec import LEGAL_ACTIONS

Schema = dict[str, Any]
_REFUSALS = {
    400: "The request is not one that this model takes; the error says why.",
    404: "The model or the version is not served.",
    408: "The request did not come in time.",
    413: "The request is too large.",
    415: "The body is compressed.",
    500: "The server has failed.",
    503: "The server has no room for the request now, or ends.",
    504: "The request was not answered in time.",
}
_KEY = {401: "An API key is needed."}
_VERSION = {"name": "version", "in": "path", "required": True}
_LABEL = {"name": "label", "in": "path", "required": True}
_STATES = {
    "model_version_status": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["version", "state", "status"],
            "properties": {
                "version": {"type": "string"},
                "state": {"enum": ["LOADING", "AVAILABLE", "END"]},
                "status": {"type": "object", "required": ["error_code", "error_message"]},
            },
        },
    }
}
_METADATA: Schema = {"model_spec": {"type": "object"}, "metadata": {"type": "object"}}


def document(name: str, model: Model, served: list[int], labels: Mapping[str, int], has_keys: bool) -> Schema:
    """The OpenAPI document, for people and for generators of clients.

    Args:
      name: the model's name in paths.
      model: the newest served version.
      served: the numbers of the served versions.
      labels: versions by label.
      has_keys: whether requests need an API key.
    """
    base = f"/v1/models/{name}"
    places: dict[str, list[Schema]] = {base: []}
    places[base + "/versions/{version}"] = [_VERSION | {"schema": {"enum": [str(each) for each in served]}}]
    if labels:
        places[base + "/labels/{label}"] = [_LABEL | {"schema": {"enum": sorted(labels)}}]
    paths: Schema = {}
    for place, parameters in places.items():
        paths[place] = {"get": _operation("The versions' states", _STATES, parameters)}
        paths[place + "/metadata"] = {"get": _operation("The signatures", _METADATA, parameters)}
        if (signature := model.signatures.get(DEFAULT_SIGNATURE)) is not None:
            answer: Schema = {"predictions": {"type": "array"}, "outputs": {}}
            asked = {"post": _operation("The policy's answer", answer, parameters, is_exclusive=True)}
            asked["post"]["requestBody"] = {"required": True, "content": _json(_request(signature, model))}
            paths[place + ":predict"] = asked
    paths |= _open_inference(name, model, places[base + "/versions/{version}"])
    for path, word in (
        ("/healthz", "live"),
        ("/readyz", "ready"),
        ("/v2/health/live", "live"),
        ("/v2/health/ready", "ready"),
    ):
        paths[path] = {"get": _operation(f"Whether it is {word}", {word: {"type": "boolean"}}, []) | {"security": []}}
    found: Schema = {"openapi": "3.1.0", "info": {"title": name, "version": str(model.version)}, "paths": paths}
    if has_keys:
        found["components"] = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
        found["security"] = [{"key": []}]
    return found


def _open_inference(name: str, model: Model, version: list[Schema]) -> Schema:
    """The paths of KServe's Open Inference Protocol."""
    text, texts, tensors = {"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "array"}
    server = {"name": text, "version": text, "extensions": texts}
    metadata = {"name": text, "versions": texts, "platform": text, "inputs": tensors, "outputs": tensors}
    answer = {"model_name": text, "model_version": text, "outputs": tensors}
    paths: Schema = {"/v2": {"get": _operation("The server", server, [])}}
    base = f"/v2/models/{name}"
    for place, parameters in ((base, []), (base + "/versions/{version}", version)):
        ready = _operation("Whether it is ready", {"name": text, "ready": {"type": "boolean"}}, parameters)
        paths[place + "/ready"] = {"get": ready}
        if (signature := model.signatures.get(DEFAULT_SIGNATURE)) is not None:
            paths[place] = {"get": _operation("Its inputs and outputs", metadata, parameters)}
            asked = {"post": _operation("The policy's answer", answer, parameters)}
            asked["post"]["requestBody"] = {"required": True, "content": _json(_infer_request(signature, model))}
            paths[place + "/infer"] = asked
    return paths


def _infer_request(signature: Signature, model: Model) -> Schema:
    """The body of an inference request: each input once, in any order."""
    tensors = [_tensor(name, each, signature, model) for name, each in signature.inputs.items()]
    inputs: Schema = {"type": "array", "items": {"anyOf": tensors}, "minItems": len(tensors), "maxItems": len(tensors)}
    inputs["allOf"] = [{"contains": {"properties": {"name": {"const": name}}}} for name in signature.inputs]
    parameters: Schema = {"type": "object"}
    outputs = [_object({"name": {"const": name}}, {"parameters": parameters}) for name in signature.outputs]
    optional: Schema = {"id": {"type": ["string", "null"]}, "parameters": parameters}
    optional["outputs"] = {"type": "array", "items": {"anyOf": outputs}, "uniqueItems": True, "maxItems": len(outputs)}
    for each in tensors:
        each["properties"]["parameters"] = parameters
    return _object({"inputs": inputs}, optional)


def _tensor(name: str, given: Input, signature: Signature, model: Model) -> Schema:
    """One tensor, whose numbers are in one list or in nested lists."""
    sizes = given.shape or ()
    batch = {"type": "integer", "minimum": 1, "maximum": MOST_ROWS}
    any_size = {"type": "integer", "minimum": 0, "maximum": int(np.iinfo(np.int64).max)}
    size = [any_size if each is None else {"const": each} for each in sizes]
    axes = [batch, *size[1:]] if signature.is_batched else size
    shape = {"type": "array", "prefixItems": axes, "minItems": len(axes), "maxItems": len(axes)}
    row = {"type": "array", "items": _number(name, given.dtype, model)}
    nested = _array(name, given, model, sizes)
    if signature.is_batched:
        nested = _list(nested["items"], MOST_ROWS)
    data = {"anyOf": [row, nested] if len(sizes) > 1 else [row]}
    return _object(
        {"name": {"const": name}, "datatype": {"const": datatype(given.dtype)}, "shape": shape, "data": data}
    )


def _operation(summary: str, answer: Schema, parameters: list[Any], *, is_exclusive: bool = False) -> Schema:
    """One method of a path. Its answer has all properties of `answer`, or exactly one if that `is_exclusive`."""
    needed: Schema = {"oneOf": [{"required": [each]} for each in answer]} if is_exclusive else {"required": [*answer]}
    answers = {"type": "object", "properties": answer} | needed
    responses: Schema = {"200": {"description": "OK", "content": _json(answers)}}
    error = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    for status, why in (_REFUSALS | _KEY).items():
        responses[str(status)] = {"description": why, "content": _json(error)}
    return {"summary": summary, "parameters": parameters, "responses": responses}


def _request(signature: Signature, model: Model) -> Schema:
    """The body of a prediction request, by rows or by columns."""
    first = 1 if signature.is_batched else 0
    rows = {name: _array(name, each, model, (each.shape or ())[first:]) for name, each in signature.inputs.items()}
    columns = {name: _list(each, MOST_ROWS) for name, each in rows.items()} if signature.is_batched else rows
    shared = {"signature_name": {"enum": [DEFAULT_SIGNATURE, ""]}}
    kinds = [{"inputs": _by_name(columns)}]
    if signature.is_batched:
        kinds.append({"instances": _list(_by_name(rows), MOST_ROWS)})
    return {"oneOf": [_object(kind, shared) for kind in kinds]}


def _by_name(schemas: Schema) -> Schema:
    """An object by name; for a single input also the value without its name."""
    named = _object(schemas)
    return {"anyOf": [*schemas.values(), named]} if len(schemas) == 1 else named


def _array(name: str, given: Input, model: Model, sizes: tuple[int | None, ...]) -> Schema:
    """A number, or nested lists of numbers whose lengths are `sizes`, outermost first."""
    found = _number(name, given.dtype, model)
    for axis, size in reversed(list(enumerate(sizes))):
        found = {"type": "array", "items": found} | ({} if size is None else {"minItems": size, "maxItems": size})
        if name == LEGAL_ACTIONS and given.dtype.kind == "b" and axis == len(sizes) - 1:
            found["contains"] = {"const": True}  # else no action is legal
    return found


def _number(name: str, dtype: np.dtype, model: Model) -> Schema:
    if dtype.kind == "b":
        return {"type": "boolean"}
    if dtype.kind == "f":
        return {"type": "number"} | _finite(np.finfo(dtype))
    low, high = whole_numbers_of(dtype)
    between = None if model.policy_inputs is None else model.policy_inputs.range_of(name)
    if between is not None:
        low, high = max(low, int(between[0].min())), min(high, int(between[1].max()))
    return {"type": "integer", "minimum": low, "maximum": high}


def _finite(floats: np.finfo) -> Schema:
    """Numbers that don't round to infinity in this type: less than half a step beyond its largest."""
    most = math.ldexp(2.0 - float(floats.eps) / 2, floats.maxexp - 1) if floats.bits < 64 else math.inf
    return {} if math.isinf(most) else {"exclusiveMinimum": -most, "exclusiveMaximum": most}


def _object(properties: Schema, optional: Mapping[str, Any] = {}) -> Schema:
    return {
        "type": "object",
        "properties": properties | dict(optional),
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: Schema, most: int) -> Schema:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
