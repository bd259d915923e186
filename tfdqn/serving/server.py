"""`serve`: loads the policy, answers requests and loads new versions until it is told to end."""

import asyncio
import gc
import shlex
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from tfdqn.errors import UserError
from tfdqn.exporting.policy_inputs import short_request
from tfdqn.exporting.versions import DEFAULT_SIGNATURE
from tfdqn.serving.access import Access
from tfdqn.serving.app import make_app
from tfdqn.serving.batching import Batcher
from tfdqn.serving.connections import Connection
from tfdqn.serving.connections_with_tls import TlsConnection
from tfdqn.serving.ending import end_idle, end_slow, end_waiting, stop_listening
from tfdqn.serving.endpoints import Endpoints
from tfdqn.serving.limits import MemoryBudget, most_connections
from tfdqn.serving.model import Model, ModelVersions
from tfdqn.serving.monitoring import Monitor
from tfdqn.serving.open_inference import OpenInference
from tfdqn.serving.options import Options
from tfdqn.system.addresses import is_loopback, wildcard_family, with_host

_REFRESH_SECONDS = 1.0
_FINISH_SECONDS = 10
_BACKLOG = 128  # connections that wait to be accepted; each needs a file descriptor before it can be refused


def serve(
    exports: Path,
    name: str,
    listening: socket.socket,
    options: Options,
    say: Callable[[str], None],
    interrupted: Callable[[], bool],
    begun: Callable[[], None] = lambda: None,
) -> None:
    """Serves until `interrupted`, then answers the requests that have arrived, for at most ten seconds.

    A thread may remain in a call of the model that never returns.

    Args:
      exports: a folder of versions.
      name: the model's name in paths.
      listening: the socket to accept connections on.
      options: from the command line.
      say: prints one line for the user.
      interrupted: whether the user has asked to stop.
      begun: called when it has said that it serves.

    Raises UserError if no version can be loaded, or one that has a label is not loaded.
    """
    say = _unless_unheard(say)
    versions = ModelVersions(exports, say, options.versions, options.labels)
    served = ", ".join(map(str, versions.served))
    for label, version in options.labels.items():
        if versions.find(version) is None:
            raise UserError(f"--label {label}={version}: version {version} is not served; served: {served}")
    host, port = listening.getsockname()[:2]
    address, access = with_host(port, host), options.access
    url = f"{'http' if access.tls is None else 'https'}://{access.reached_at(host, port)}/v1/models/{name}"
    say(f"Serving {exports}, {'version' if len(versions.served) == 1 else 'versions'} {served}, at {url}")
    if family := wildcard_family(host):
        say(f"It listens on all {family} addresses of this host ({address}).")
    if access.missing and not is_loopback(host):
        say(f"{address} is not loopback, and served without {access.missing}: --insecure allows it.")
    if example := _example(versions.current):
        key = "" if access.keys is None else "-H 'Authorization: Bearer KEY' "
        say(f"Ask: curl {key}-d {shlex.quote(example)} {url}:predict")
    begun()
    asyncio.run(_run(listening, name, versions, options, say, interrupted))
    say("Stopped.")


async def _run(
    listening: socket.socket,
    name: str,
    versions: ModelVersions,
    options: Options,
    say: Callable[[str], None],
    interrupted: Callable[[], bool],
) -> None:
    with _thread("model") as calls, _thread("versions") as refreshing, _thread("reading") as reading:
        batcher, budget, connections = Batcher(calls, options.most_rows), MemoryBudget(), set[Any]()
        endpoints = Endpoints(name, versions, options, batcher, reading)
        monitor = Monitor(name, versions, batcher, budget, connections)
        app = make_app(endpoints, OpenInference(name, endpoints, monitor), monitor, budget, options.access.keys)
        server = _http_server(app, options.access)
        server.server_state.connections = connections

        async def refresh() -> None:
            served: list[int] = []
            while True:
                if served != versions.served:
                    served = versions.served
                    await asyncio.get_running_loop().run_in_executor(refreshing, _settle)
                await asyncio.sleep(_REFRESH_SECONDS)
                await asyncio.get_running_loop().run_in_executor(refreshing, versions.refresh)

        async def end() -> None:
            """Reports not ready, then stops accepting, then refuses unfinished requests before uvicorn cancels them."""
            while not interrupted():
                await asyncio.sleep(0.1)
            monitor.is_ready = False
            await asyncio.sleep(options.drain_seconds)
            server.should_exit = True
            await asyncio.sleep(_FINISH_SECONDS)
            batcher.give_up()
            end_waiting(connections)

        async with asyncio.TaskGroup() as group:
            works = (batcher.run(), refresh(), end_slow(connections), end(), _reload(options.access, say))
            beside = [group.create_task(each) for each in works]
            await server.serve(sockets=[listening])
            for task in beside:
                task.cancel()


async def _reload(access: Access, say: Callable[[str], None]) -> None:
    """Reads keys and certificates again, in a thread of its own, so that loading a version does not delay it."""
    with _thread("access") as reading:
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            for each in (access.keys, access.tls):
                if each is not None:
                    await asyncio.get_running_loop().run_in_executor(reading, each.refresh, say)


def _unless_unheard(say: Callable[[str], None]) -> Callable[[str], None]:
    """`say`, without the errors of a terminal or a pipe that is gone, so that these don't end the server."""

    def said(text: str) -> None:
        with suppress(OSError):
            say(text)

    return said


@contextmanager
def _thread(name: str) -> Iterator[Executor]:
    """An executor of one thread. Its work is not awaited when the block ends, since it may never end."""
    executor = ThreadPoolExecutor(1, name)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _settle() -> None:
    """Excludes TensorFlow and the model from garbage collection, which would stop everything for half a second."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals alone, and resets no connection when it ends.

    uvicorn would stop listening at once at a signal, and close connections to which a request may be on its way.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await stop_listening(sockets or (), self.servers)
        await end_idle(self.server_state.connections, _FINISH_SECONDS + 1)
        await super().shutdown(sockets)


def _http_server(app: ASGIApp, access: Access) -> uvicorn.Server:
    connection = Connection if access.tls is None else partial(TlsConnection, tls=access.tls)
    return _Server(
        uvicorn.Config(
            app,
            http=connection,  # type: ignore[arg-type]
            limit_concurrency=most_connections(),
            backlog=_BACKLOG,
            ws="none",
            proxy_headers=False,
            log_config=None,  # uvicorn's own would keep today's stderr, even if that is redirected later
            log_level="error",  # warnings are about clients that don't speak HTTP
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=1,  # for what is left after `_FINISH_SECONDS`
        )
    )


def _example(model: Model) -> str:
    """An example of a request, if it is short."""
    rows = model.example(DEFAULT_SIGNATURE) if DEFAULT_SIGNATURE in model.signatures else None
    return "" if rows is None else short_request(rows)
