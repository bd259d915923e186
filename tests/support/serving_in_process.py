"""The server in a thread of the tests, with a model of theirs: limits can be made small, and calls held."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.serving_client import ask
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.serving.inputs import Input
from tfdqn.serving.model import ModelVersions, Signature
from tfdqn.serving.options import Options
from tfdqn.serving.server import _run
from tfdqn.system.addresses import listen
from tfdqn.types import Arrays

_DRAIN_SECONDS = 77.0  # that nothing else sleeps
PLAIN = Options()
PREDICT = "/v1/models/sum:predict"


class Summing:
    """A model that sums its four numbers; `held` makes its next calls wait for `go`."""

    version = 1
    policy_inputs = None

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.signature_defs: dict[str, Any] = {}
        self.begun = threading.Event()
        self.go = threading.Event()
        self.go.set()
        inputs = {"x": Input(np.dtype("float32"), (None, 4))}
        outputs = {"action": Input(np.dtype("int64"), (None,)), "q": Input(np.dtype("float32"), (None,))}
        signature = Signature(self._call, inputs, is_batched=True, outputs=outputs)
        self.signatures = {"serving_default": signature}

    def hold(self) -> None:
        self.go.clear()
        self.begun.clear()

    def _call(self, inputs: Arrays) -> Arrays:
        self.sizes.append(len(inputs["x"]))
        self.begun.set()
        assert self.go.wait(PATIENCE_SECONDS)
        with np.errstate(over="ignore"):
            return {"action": np.argmax(inputs["x"], axis=1), "q": inputs["x"].sum(axis=1, dtype=np.float32)}


class InProcess:
    """A running server's address and its model, called `sum`, and the thread that it has until its `end`."""

    def __init__(self, listening: socket.socket, versions: Any = None, options: Options = PLAIN):
        self.port = listening.getsockname()[1]
        self.model = Summing()
        self.end = threading.Event()
        self.versions = versions or SimpleNamespace(
            current=self.model,
            served=[self.model.version],
            states={},
            refresh=lambda: None,
            find={self.model.version: self.model}.get,
        )
        self.said: list[str] = []
        run = _run(listening, "sum", self.versions, options, self.said.append, self.end.is_set)
        self.thread = threading.Thread(target=lambda: asyncio.run(run), name="loop", daemon=True)

    def ask(self, *arguments: Any, **more: Any) -> tuple[int, Any]:
        return ask(self.port, *arguments, **more)

    def predict(self, body: Any) -> tuple[int, Any]:
        return self.ask("POST", PREDICT, body)

    def connect(self, text: bytes = b"", *, receive_bytes: int | None = None) -> socket.socket:
        """A connection on which this much was sent."""
        connection = socket.socket()
        if receive_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(text)
        return connection


def request(body: bytes, *, head: str = "") -> bytes:
    """A whole POST."""
    return f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


def received(connection: socket.socket) -> bytes:
    """All that comes until the server ends the connection, or resets it."""
    found = b""
    with suppress(ConnectionResetError):
        for part in _parts(connection):
            found += part
    return found


def received_without_reset(connection: socket.socket) -> bytes:
    """All that comes until the server ends the connection. Raises ConnectionResetError if it resets it."""
    return b"".join(_parts(connection))


def _parts(connection: socket.socket) -> Iterator[bytes]:
    with connection:
        while part := connection.recv(2**16):
            yield part


class Drain:
    """A server's time from its end's beginning, in which it takes requests, until `over`: not by a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.options, self.over = Options(drain_seconds=_DRAIN_SECONDS), threading.Event()
        asyncio_sleep = asyncio.sleep

        async def sleep(seconds: float) -> None:
            while seconds == _DRAIN_SECONDS and not self.over.is_set():
                await asyncio_sleep(0.01)
            await asyncio_sleep(seconds % _DRAIN_SECONDS)

        monkeypatch.setattr("asyncio.sleep", sleep)


@contextmanager
def serving(versions: ModelVersions | None = None, options: Options = PLAIN) -> Iterator[InProcess]:
    """Answers until the block ends, and has ended then; for these versions if given, in place of `Summing`."""
    with listen("127.0.0.1", 0) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**14)  # else the kernel takes whole answers
        found = InProcess(listening, versions, options)
        found.thread.start()
        try:
            yield found
        finally:
            found.model.go.set()
            found.end.set()
            found.thread.join(PATIENCE_SECONDS)
            assert not found.thread.is_alive()


def assert_asks_to_retry(answer: bytes, why: bytes) -> None:
    assert answer.startswith(b"HTTP/1.1 503") and why in answer
    assert b"\r\nretry-after: 1\r\n" in answer.lower()
