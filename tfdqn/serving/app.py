"""The paths of TensorFlow Serving's REST interface: predict, status and metadata of one model, on Starlette."""

import logging
from concurrent.futures import Executor
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tfdqn.serving.access import ApiKeys, FileContent
from tfdqn.serving.batching import Batcher
from tfdqn.serving.endpoints import Endpoints
from tfdqn.serving.limits import MemoryBudget
from tfdqn.serving.model_versions import ModelVersions
from tfdqn.serving.payload import RequestError

_LONGEST_SHOWN = 200  # characters of a path
_log = logging.getLogger(__name__)


_RETRY = {"Retry-After": "1"}  # seconds
_CROWDED = JSONResponse(
    {"error": "too many connections are open; try again later"}, 503, _RETRY | {"Connection": "close"}
)


def make_app(
    name: str, versions: ModelVersions, batcher: Batcher, reading: Executor, keys: FileContent[ApiKeys] | None
) -> ASGIApp:
    """The ASGI application.

    Args:
      reading: has one thread, which reads large requests and writes large answers, one at a time.
      keys: of which each request needs one, where there are some.
    """
    paths = Endpoints(name, versions, batcher, reading)
    routes = []
    for base in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
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
    app, budget = Starlette(routes=routes, exception_handlers=handlers), MemoryBudget()

    async def with_share(scope: Scope, receive: Receive, send: Send) -> None:
        """Until the answer has been taken, not only made."""
        if scope["state"]["is_one_too_many"]:
            await _CROWDED(scope, receive, send)
            return
        if keys is not None and (refusal := _unauthorized(scope, keys.value)):
            await refusal(scope, receive, send)
            return
        with budget.share() as scope["state"]["share"]:
            await app(scope, receive, send)

    return with_share


def _unauthorized(scope: Scope, keys: ApiKeys) -> Response | None:
    """The answer to a request without one of the keys, as RFC 6750 has it; none where it has one."""
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


async def _malformed(request: Request, error: HTTPException) -> Response:
    """A path or a method that there is not: 400, as TensorFlow Serving says it."""
    return JSONResponse({"error": f"Malformed request: {request.method} {request.url.path[:_LONGEST_SHOWN]}"}, 400)


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # which no one reads


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("%s %s", request.method, request.url.path, exc_info=error)
    return JSONResponse({"error": "internal server error; see the server's log"}, 500)
