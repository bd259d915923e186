"""A server process of a small policy, and requests to it."""

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.commands import PROGRAM, Tfdqn, tfdqn

# What a machine that serves need not have.
WITHOUT = "import sys\nfor name in ('tf_agents', 'reverb', 'gymnasium', 'gym'): sys.modules[name] = None\n"


class Client(NamedTuple):
    """One server process, and where its model is."""

    process: Tfdqn
    port: int
    path: str

    def ask(self, method: str, path: str, body: bytes | Any = None) -> tuple[int, Any]:
        return ask(self.port, method, path, body)

    def predict(self, body: bytes | Any, version: int | None = None) -> tuple[int, Any]:
        where = "" if version is None else f"/versions/{version}"
        return self.ask("POST", f"{self.path}{where}:predict", body)


def ask(
    port: int, method: str, path: str, body: bytes | Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON; a body that is not bytes is sent as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, sent, dict(headers or {}))
        response = connection.getresponse()
        text = response.read()
        return response.status, strict(text) if text else None
    finally:
        connection.close()


def strict(text: bytes) -> Any:
    """What JSON says; NaN and Infinity, which it has not, fail."""
    return json.loads(text, parse_constant=lambda found: pytest.fail(f"{found} in JSON"))


@contextmanager
def server(folder: Path, *arguments: str) -> Iterator[Client]:
    """`tfdqn serve …` at a free port, when it answers."""
    with tfdqn(folder, "serve", *arguments, "--port", "0", program=WITHOUT + PROGRAM) as process:
        process.until(lambda: "Ask: " in process.out, "server", 240)
        found = re.search(r"http://[\w.]+:(\d+)(/v1/models/[\w.-]+)$", process.out, flags=re.MULTILINE)
        assert found
        yield Client(process, int(found[1]), found[2])
