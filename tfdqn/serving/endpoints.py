"""`Endpoints`: answers the paths of one model: predictions, the states of its versions, its signatures."""

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tfdqn.serving.batching import Batcher
from tfdqn.serving.limits import Share
from tfdqn.serving.model import Model, ModelVersions
from tfdqn.serving.openapi import document
from tfdqn.serving.options import VERSION, Options
from tfdqn.serving.payload import PredictRequest, RequestError, parse

MOST_BODY_BYTES = 16 * 2**20
_BODY_SECONDS = 30.0
_LONGEST_SHOWN = 50  # characters of a label
_MOST_SHOWN = 10  # versions or labels
_ROW_BYTES = 256  # rough size of one row's answer, beside its inputs
_PART_BYTES = 2**16  # an answer is sent in parts of this size
# Longer requests are parsed, and longer answers written, outside the event loop, which they would block.
_SHORT_BYTES = 2**15
_SHORT_ROWS = 256
_T = TypeVar("_T")


class Endpoints:
    """Answers requests to one model's paths; `reading` parses and writes long ones, outside the event loop."""

    def __init__(self, name: str, versions: ModelVersions, options: Options, batcher: Batcher, reading: Executor):
        self.name = name
        self._versions = versions
        self._labels = options.labels
        self._has_keys = options.access.keys is not None
        self._batcher = batcher
        self._reading = reading

    @property
    def served(self) -> list[int]:
        """The numbers of the served versions, newest first."""
        return self._versions.served

    async def predict(self, request: Request) -> Response:
        return await self.ask(request, parse)

    async def ask(self, request: Request, parse: Callable[[bytes | bytearray, Model], PredictRequest]) -> Response:
        """Reads a request's body by `parse`, calls the model, and answers in the form that the request asks for."""
        model = self.model(request)
        share, is_gone = request.scope["state"]["share"], request.scope["state"]["is_gone"]
        body = await _body(request, share)
        if len(body) <= _SHORT_BYTES:
            asked = parse(body, model)
        else:
            asked = await self._outside(_unless_gone, is_gone, parse, body, model)
        del body
        share.hold(asked.rows * (_ROW_BYTES + asked.signature.row_bytes))
        outputs = await self._batcher(asked, is_gone)
        if asked.rows <= _SHORT_ROWS:
            return _Answer(asked.write(outputs), media_type="application/json")
        return _Answer(await self._outside(asked.write, outputs), media_type="application/json")

    async def _outside(self, work: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._reading, work, *arguments)

    async def status(self, request: Request) -> Response:
        states = self._versions.states
        version = self._version(request)
        name = request.path_params["name"]
        if name != self.name or (version is not None and version not in states):
            asked = name + (f" version {version}" if version is not None else "")
            raise RequestError(f"Could not find any versions of model {asked}; {self._there_is}", 404)
        shown = sorted(states, reverse=True) if version is None else [version]
        found = [
            {
                "version": str(each),
                "state": states[each].state,
                "status": {
                    "error_code": "UNKNOWN" if states[each].problem else "OK",
                    "error_message": states[each].problem,
                },
            }
            for each in shown
        ]
        return JSONResponse({"model_version_status": found})

    async def metadata(self, request: Request) -> Response:
        model = self.model(request)
        spec = {"name": self.name, "signature_name": "", "version": str(model.version)}
        defs = {"signature_def": model.signature_defs}
        return JSONResponse({"model_spec": spec, "metadata": {"signature_def": defs}})

    async def openapi(self, request: Request) -> Response:
        versions = self._versions
        return JSONResponse(document(self.name, versions.current, versions.served, self._labels, self._has_keys))

    def model(self, request: Request) -> Model:
        """The model that the path names. Raises RequestError with 404 if there is none."""
        name, version = request.path_params["name"], self._version(request)
        model = self._versions.current if version is None else self._versions.find(version)
        if name != self.name or model is None:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError(f"Servable not found for request: {asked}; {self._there_is}", 404)
        return model

    def _version(self, request: Request) -> int | None:
        """The version that the path names, by number or label; None if it names none."""
        label, version = (request.path_params.get(each) for each in ("label", "version"))
        if label is not None:
            if label not in self._labels:
                asked, known = label[:_LONGEST_SHOWN], _some(sorted(self._labels)) or "none"
                raise RequestError(f"Unrecognized servable version label: {asked}; labels: {known}")
            return self._labels[label]
        if version is None:
            return None
        if not re.fullmatch(VERSION, version):
            raise HTTPException(404)
        return int(version)

    @property
    def _there_is(self) -> str:
        """What is served, in words."""
        return f"there is model {self.name}, versions: {_some(self.served)}"


class _Answer(Response):
    """A response sent in parts: each when the client has taken most of the ones before."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = memoryview(self.body)
        for start in range(0, len(body), _PART_BYTES):
            part, is_last = body[start : start + _PART_BYTES], start + _PART_BYTES >= len(body)
            await send({"type": "http.response.body", "body": bytes(part), "more_body": not is_last})
            if not is_last:
                await asyncio.sleep(0)  # a connection that is lost by this part is known before the next


def _some(each: Sequence[object]) -> str:
    """The first of these, and how many more there are."""
    left = len(each) - _MOST_SHOWN
    return ", ".join(map(str, each[:_MOST_SHOWN])) + (f" and {left} more" if left > 0 else "")


def _unless_gone(is_gone: Callable[[], bool], work: Callable[..., _T], *arguments: Any) -> _T:
    if is_gone():  # while it waited for its turn
        raise RequestError("the client has gone", 499)
    return work(*arguments)


async def _body(request: Request, share: Share) -> bytearray:
    """The whole body. Raises RequestError if it is too long or comes too slowly."""
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise RequestError(f"Content-Encoding: {encoding[:50]} is not accepted; send plain JSON", 415)
    too_long = RequestError(f"the request is longer than {MOST_BODY_BYTES} bytes", 413)
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > MOST_BODY_BYTES:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BODY_BYTES:
                    raise too_long
                share.hold(len(body))
    except TimeoutError:
        raise RequestError(f"the request did not come within {_BODY_SECONDS:.0f} s", 408) from None
    return body
