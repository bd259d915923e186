"""The Starlette application: routes for TensorFlow Serving's paths, KServe's, health checks and metrics."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tfdqn.serving.access import ApiKeys, FileContent
from tfdqn.serving.endpoints import Endpoints
from tfdqn.serving.limits import MemoryBudget
from tfdqn.serving.monitoring import Monitor
from tfdqn.serving.open_inference import OpenInference
from tfdqn.serving.payload import RequestError

_LIVE = ("/healthz", "/v2/health/live")
_READY = ("/readyz", "/v2/health/ready")
_OPEN = frozenset((*_LIVE, *_READY))  # paths that need no API key
_METRICS = "/monitoring/prometheus/metrics"
_NO_ANSWER = 499  # the status that is counted if the client has gone
_MAX_SHOWN_CHARACTERS = 200  # of a path
_log = logging.getLogger(__name__)
_RETRY = {"Retry-After": "1"}  # seconds
_CROWDED = JSONResponse(
    {"error": "too many connections are open; try again later"}, 503, _RETRY | {"Connection": "close"}
)


def make_app(
    endpoints: Endpoints,
    open_inference: OpenInference,
    monitor: Monitor,
    budget: MemoryBudget,
    keys: FileContent[ApiKeys] | None,
) -> ASGIApp:
    """The ASGI application. Each request needs one of the keys, if there are any, except to the paths in `_OPEN`."""
    handlers: dict[Any, Any] = {
        RequestError: _refused,
        HTTPException: partial(_malformed, endpoints.name),
        ClientDisconnect: _gone,
        Exception: _failed,
    }
    app = Starlette(routes=list(_routes(endpoints, open_inference, monitor)), exception_handlers=handlers)
    app.router.redirect_slashes = False  # it would send clients to the host that they name

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["state"]["is_one_too_many"]:
            await _CROWDED(scope, receive, send)
        elif keys is not None and scope["path"] not in _OPEN and (refusal := _unauthorized(scope, keys.value)):
            await refusal(scope, receive, send)
        else:
            with budget.share() as scope["state"]["share"]:  # until the answer has been taken, not only made
                await app(scope, receive, send)

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        begun, status = time.perf_counter(), _NO_ANSWER

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not (monitor.is_ready or scope["state"]["has_next"]()):  # so that clients go elsewhere
                    message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        try:
            await guarded(scope, receive, noting)
        finally:
            path = scope["state"].get("path", "other")
            monitor.count(path, scope["method"], status, time.perf_counter() - begun)

    return counted


def _routes(endpoints: Endpoints, open_inference: OpenInference, monitor: Monitor) -> Iterator[Route]:
    model = "/v1/models/{name}"
    for base in (model, model + "/versions/{version}", model + "/labels/{label}"):
        yield _CountedRoute("POST", base + ":predict", endpoints.predict)
        yield _CountedRoute("GET", base + "/metadata", endpoints.metadata)
        yield _CountedRoute("GET", base, endpoints.status)
    model = "/v2/models/{name}"
    for base in (model, model + "/versions/{version}"):
        yield _CountedRoute("POST", base + "/infer", open_inference.infer)
        yield _CountedRoute("GET", base + "/ready", open_inference.model_ready)
        yield _CountedRoute("GET", base, open_inference.model)
    yield _CountedRoute("GET", "/v2", open_inference.server)
    yield _CountedRoute("GET", "/openapi.json", endpoints.openapi)
    for path in _LIVE:
        yield _CountedRoute("GET", path, monitor.live)
    for path in _READY:
        yield _CountedRoute("GET", path, monitor.ready)
    yield _CountedRoute("GET", _METRICS, monitor.prometheus)


class _Endpoint:
    """Answers requests to one path. An ASGI application, because Starlette wraps a function in one more layer."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]):
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)


class _Plain(StringConvertor):
    """A part of a path without a colon, so that `GET …:predict` is not taken for the state of a model "…:predict"."""

    regex = "[^/:]+"


register_url_convertor("plain", _Plain())


class _CountedRoute(Route):
    """A route whose requests are counted under its path, also those by a method that it doesn't take."""

    def __init__(self, method: str, path: str, answer: Callable[[Request], Awaitable[Response]]):
        super().__init__(path.replace("}", ":plain}"), _Endpoint(answer), methods=[method])
        self._label = path

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["path"] = self._label
        await super().handle(scope, receive, send)


def _unauthorized(scope: Scope, keys: ApiKeys) -> Response | None:
    """The answer to a request without a valid key, by RFC 6750; None if its key is valid."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if keys.allow(given):
        return None
    if given:
        problem, challenge = "not one of this server's API keys", 'Bearer error="invalid_token"'
    else:
        problem, challenge = "an API key is needed: `Authorization: Bearer KEY`", "Bearer"
    return JSONResponse({"error": problem}, 401, {"WWW-Authenticate": challenge})


async def _refused(request: Request, error: RequestError) -> Response:
    return JSONResponse({"error": str(error)}, error.status, _RETRY if error.status == 503 else None)


async def _malformed(model: str, request: Request, error: HTTPException) -> Response:
    """Answers an unknown path with status 400, as TensorFlow Serving does, and says which paths there are.

    Another method than a path's is answered with status 405, where TensorFlow Serving has 400, too.
    """
    asked = f"{request.method} {request.scope['path'][:_MAX_SHOWN_CHARACTERS]}"
    if error.status_code == 405:
        methods = sorted((error.headers or {})["Allow"].split(", "))
        return JSONResponse(
            {"error": f"{asked}: this path takes {' and '.join(methods)}"}, 405, {"Allow": ", ".join(methods)}
        )
    paths = f"the model is at /v1/models/{model}, metrics are at {_METRICS}, all paths are in /openapi.json"
    return JSONResponse({"error": f"Malformed request: {asked}: {paths}"}, 400)


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=_NO_ANSWER)  # for the metrics; no client reads it


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("%s %s", request.method, request.scope["path"], exc_info=error)
    return JSONResponse({"error": "internal server error; see the server's log"}, 500)
