"""`serve`: loads, answers and reloads until it is told to end."""

import asyncio
import json
import math
import shlex
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import uvicorn

from tfdqn.serving.address import address_of, is_loopback
from tfdqn.serving.app import make_app
from tfdqn.serving.batching import Batcher
from tfdqn.serving.model import Model
from tfdqn.serving.payload import DEFAULT_SIGNATURE
from tfdqn.serving.versions import Versions

_LOOK_SECONDS = 1.0
_FINISH_SECONDS = 10
_SHOWN_NUMBERS = 64  # of an example request


def serve(
    exports: Path,
    name: str,
    listening: socket.socket,
    say: Callable[[str], None],
    interrupted: Callable[[], bool],
) -> None:
    """Serves until `interrupted`, then answers what was asked, for ten seconds at most.

    Args:
      exports: a folder of versions.
      name: the model's, in its paths.

    Raises:
      UserError: where no version can be loaded.
    """
    versions = Versions(exports, say)
    address = address_of(listening)
    say(f"Serving {exports}, version {versions.current.version}, at http://{address}/v1/models/{name}")
    if not is_loopback(listening):
        say(
            f"{address} is not loopback: whoever reaches it may ask the policy; there is no authentication and no "
            "encryption."
        )
    if example := _example(versions.current):
        say(f"Ask: curl -d {shlex.quote(example)} http://{address}/v1/models/{name}:predict")
    asyncio.run(_run(listening, name, versions, interrupted))
    say("Stopped.")


async def _run(
    listening: socket.socket, name: str, versions: Versions, interrupted: Callable[[], bool]
) -> None:
    with ThreadPoolExecutor(1, "model") as calls, ThreadPoolExecutor(1, "versions") as looks:
        batcher = Batcher(calls)
        server = uvicorn.Server(
            uvicorn.Config(
                make_app(name, versions, batcher),
                log_level="error",  # what a client sends that is no HTTP is the client's to know
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=_FINISH_SECONDS,
            )
        )

        async def watch() -> None:
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                await asyncio.get_running_loop().run_in_executor(looks, versions.look)

        async def heed() -> None:
            """Signals that uvicorn does not take."""
            while not interrupted():
                await asyncio.sleep(0.1)
            server.should_exit = True

        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(each) for each in (batcher.run(), watch(), heed())]
            await server.serve(sockets=[listening])
            for task in beside:
                task.cancel()


def _example(model: Model) -> str:
    """A request of zeros, where it is short; all actions legal."""
    signature = model.signatures.get(DEFAULT_SIGNATURE)
    if signature is None or not signature.is_batched:
        return ""
    row = {}
    for name, each in signature.inputs.items():
        shape = each.row_shape
        if shape is None or math.prod(shape) > _SHOWN_NUMBERS:
            return ""
        row[name] = (np.ones if each.dtype.kind == "b" else np.zeros)(shape, each.dtype).tolist()
    return json.dumps({"instances": [row if len(row) > 1 else next(iter(row.values()))]})
