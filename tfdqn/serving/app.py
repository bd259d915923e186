"""The paths of TensorFlow Serving's REST interface: predict, status and metadata of one model, on Starlette."""

import asyncio
import logging
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tfdqn.serving.batching import Batcher
from tfdqn.serving.model import Model
from tfdqn.serving.payload import RequestError, answer, parse
from tfdqn.serving.versions import Versions

MOST_BODY_BYTES = 16 * 2**20
_BODY_SECONDS = 30.0
_log = logging.getLogger(__name__)


class _Paths:
    """One model's answers."""

    def __init__(self, name: str, versions: Versions, batcher: Batcher):
        self._name = name
        self._versions = versions
        self._batcher = batcher

    async def predict(self, request: Request) -> Response:
        model = self._model(request)
        question = parse(await _body(request), model)
        outputs = await self._batcher(question.signature, question.inputs)
        return Response(answer(outputs, question.in_rows), media_type="application/json")

    async def status(self, request: Request) -> Response:
        states = self._versions.states
        version = request.path_params.get("version")
        name = request.path_params["name"]
        if ":" in name:  # GET …:predict
            raise HTTPException(405)
        if name != self._name or (version is not None and version not in states):
            asked = name + (f" version {version}" if version is not None else "")
            raise RequestError(f"Could not find any versions of model {asked}", 404)
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
        model = self._model(request)
        spec = {"name": self._name, "signature_name": "", "version": str(model.version)}
        defs = {"signature_def": model.signature_defs}
        return JSONResponse({"model_spec": spec, "metadata": {"signature_def": defs}})

    def _model(self, request: Request) -> Model:
        name, version = request.path_params["name"], request.path_params.get("version")
        model = self._versions.current
        if name != self._name or version not in (None, model.version):
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError(f"Servable not found for request: {asked}", 404)
        return model


def make_app(name: str, versions: Versions, batcher: Batcher) -> Starlette:
    """The ASGI application."""
    paths = _Paths(name, versions, batcher)
    routes = []
    for base in ("/v1/models/{name}", "/v1/models/{name}/versions/{version:int}"):
        routes += [
            Route(base + ":predict", paths.predict, methods=["POST"]),
            Route(base + "/metadata", paths.metadata, methods=["GET"]),
            Route(base, paths.status, methods=["GET"]),
        ]
    handlers: dict[Any, Any] = {
        RequestError: _refused,
        HTTPException: _malformed,
        ClientDisconnect: _gone,
        Exception: _failed,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


async def _body(request: Request) -> bytes:
    """Whole, unless it is too long or too slow."""
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
    except TimeoutError:
        raise RequestError(f"the request did not come within {_BODY_SECONDS:.0f} s", 408) from None
    return bytes(body)


async def _refused(request: Request, error: RequestError) -> Response:
    return JSONResponse({"error": str(error)}, error.status)


async def _malformed(request: Request, error: HTTPException) -> Response:
    """A path or a method that there is not: 400, as TensorFlow Serving says it."""
    return JSONResponse({"error": f"Malformed request: {request.method} {request.url.path}"}, 400)


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # which nobody reads


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("%s %s", request.method, request.url.path, exc_info=error)
    return JSONResponse({"error": "an error of the server's own; its log says which"}, 500)
