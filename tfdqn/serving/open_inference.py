"""`OpenInference`: the paths and the JSON of KServe's Open Inference Protocol, version 2.

It follows the specification (github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md).
"""

from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Raw
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tfdqn.errors import UserError
from tfdqn.exporting.versions import DEFAULT_SIGNATURE
from tfdqn.serving.endpoints import Endpoints
from tfdqn.serving.inputs import Input, datatype
from tfdqn.serving.model import Model, Signature
from tfdqn.serving.monitoring import Monitor
from tfdqn.serving.payload import PredictRequest, RequestError, as_list, check_keys, check_size, check_values
from tfdqn.serving.wording import in_words, malformed
from tfdqn.types import Arrays

PLATFORM = "tensorflow_savedmodel"
# Checked before decoding, because JSON takes many times its size in Python.
_MOST_OBJECTS = 1024  # of a request: inputs, outputs, and the parameters of each
_MOST_BYTES_BESIDE = 2**15  # of a request, beside its tensors' data
_NO_PARAMETERS = Raw(b"{}")


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: Raw
    datatype: str
    data: Raw
    parameters: Raw = _NO_PARAMETERS


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: Raw = _NO_PARAMETERS


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[_Tensor]
    outputs: list[_Output] = []
    id: str | None = None
    parameters: Raw = _NO_PARAMETERS


_request = msgspec.json.Decoder(_Request)
_shape = msgspec.json.Decoder(list[Annotated[int, Meta(ge=0)]])
_parameters = msgspec.json.Decoder(dict[str, Raw])


class OpenInference:
    """The answers of one model. A request's `parameters` are ignored: the protocol itself defines none."""

    def __init__(self, name: str, endpoints: Endpoints, monitor: Monitor):
        self._name = name
        self._endpoints = endpoints
        self._monitor = monitor
        self._server = {"name": "tfdqn", "version": version("tfdqn"), "extensions": []}

    async def server(self, request: Request) -> Response:
        return JSONResponse(self._server)

    async def model(self, request: Request) -> Response:
        model = self._endpoints.model(request)
        signature = _signature(model)
        found = {"name": self._name, "versions": [str(each) for each in self._endpoints.served], "platform": PLATFORM}
        tensors = {"inputs": _described(signature.inputs), "outputs": _described(signature.outputs)}
        return JSONResponse(found | tensors)

    async def model_ready(self, request: Request) -> Response:
        self._endpoints.model(request)
        is_ready = self._monitor.is_ready
        return JSONResponse({"name": self._name, "ready": is_ready}, 200 if is_ready else 503)

    async def infer(self, request: Request) -> Response:
        return await self._endpoints.ask(request, partial(parse, name=self._name))


def parse(body: bytes | bytearray, model: Model, name: str) -> PredictRequest:
    """Reads an inference request for a model of this name. Raises RequestError if it is none."""
    signature = _signature(model)
    check_size(body, signature)
    given = _top(body)
    tensors = {each.name: each for each in given.inputs}
    asked = [each.name for each in given.outputs]
    _check_names("inputs", [each.name for each in given.inputs], signature.inputs, need_all=True)
    _check_names("outputs", asked, signature.outputs)
    try:
        inputs = {each: _array(signature, tensors[each]) for each in signature.inputs}
        write = _Answer(name, model.version, given.id, asked).write
        request = PredictRequest(signature, inputs, write)
        check_values(request)
    except UserError as error:
        raise RequestError(str(error)) from error
    count = len(tensors)
    once = {"inputs": 1, "outputs": 1, "id": 1, "name": count + len(asked)}
    check_keys(body, once | dict.fromkeys(("shape", "datatype", "data"), count))
    return request


def _top(body: bytes | bytearray) -> _Request:
    if body.count(b"{") > _MOST_OBJECTS:
        raise RequestError(f"more than {_MOST_OBJECTS:,} objects", 413)
    try:
        given = _request.decode(body)
        if len(body) - sum(len(memoryview(tensor.data)) for tensor in given.inputs) > _MOST_BYTES_BESIDE:
            raise RequestError(f"more than {_MOST_BYTES_BESIDE // 2**10} KiB beside the inputs' data", 413)
        parts: tuple[_Request | _Tensor | _Output, ...] = (given, *given.inputs, *given.outputs)
        for each in parts:
            _parameters.decode(each.parameters)
    except msgspec.ValidationError as error:
        raise RequestError(f"not an inference request: {in_words(error, body)}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(malformed(error, body)) from error
    return given


class _Answer(NamedTuple):
    """What an answer contains: `outputs`, the names that were asked for (all if empty), and the other fields."""

    name: str
    version: int
    id: str | None
    outputs: list[str]

    def write(self, outputs: Arrays) -> bytes:
        """JSON, with each output's numbers in row-major order."""
        head: dict[str, Any] = {"model_name": self.name, "model_version": str(self.version)}
        if self.id is not None:
            head["id"] = self.id
        tensors = []
        for name in self.outputs or outputs:
            array = outputs[name]
            described = {"name": name, "datatype": datatype(array.dtype), "shape": list(array.shape)}
            tensors.append(msgspec.json.encode(described)[:-1] + b',"data":' + as_list(array.reshape(-1)) + b"}")
        return msgspec.json.encode(head)[:-1] + b',"outputs":[' + b",".join(tensors) + b"]}"


def _signature(model: Model) -> Signature:
    if (found := model.signatures.get(DEFAULT_SIGNATURE)) is None:
        raise RequestError(f'Serving signature name: "{DEFAULT_SIGNATURE}" not found in signature def')
    return found


def _described(tensors: Mapping[str, Input]) -> list[dict[str, Any]]:
    """Names, datatypes and shapes; -1 in a shape is any length."""

    def shape(given: Input) -> list[int]:
        return [-1 if size is None else size for size in given.shape or ()]

    return [{"name": each, "datatype": datatype(found.dtype), "shape": shape(found)} for each, found in tensors.items()]


def _check_names(where: str, given: list[str], known: Mapping[str, Input], *, need_all: bool = False) -> None:
    """Raises RequestError for an unknown name, a repeated one, and a missing one if `need_all`."""
    if len(set(given)) < len(given) or set(given) - known.keys() or (need_all and known.keys() - set(given)):
        shown = ", ".join(each[:50] for each in given[:10]) or "nothing"
        taken = ", ".join(sorted(known))
        raise RequestError(f"{where}: expected {'each' if need_all else 'any'} of {taken}, once; got {shown}")


def _array(signature: Signature, given: _Tensor) -> np.ndarray:
    """A tensor's data as the signature's array. Raises UserError."""
    needed = datatype(signature.inputs[given.name].dtype)
    if given.datatype != needed:
        raise UserError(f"{given.name}: datatype {given.datatype[:20]}; expected {needed}")
    try:
        shape = _shape.decode(given.shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(in_words(error, given.shape, f"{given.name}, shape")) from error
    return signature.reader.tensor(given.name, given.data, tuple(shape))
